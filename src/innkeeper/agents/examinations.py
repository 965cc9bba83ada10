"""Programs that look through what an agent has kept, run in its own image before it is started on it.

Each ends with 0 and a last line `{"files": 3, "sessions": 12}`, or otherwise with a word about the first fault. They
run without network and without rights, for what they read is the tenant's own.
"""

from __future__ import annotations

import json

_OPENCLAW = """
const fs = require("node:fs"), path = require("node:path"), { DatabaseSync } = require("node:sqlite");
let files = 0, sessions = 0;
function examine(file) {
  let db;
  try {
    db = new DatabaseSync(file, { readOnly: true });
    const [first] = db.prepare("PRAGMA integrity_check(1)").all();
    if (first.integrity_check !== "ok") throw new Error(first.integrity_check);
    const named = db.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'session_nodes'").all();
    if (named.length) sessions += db.prepare("SELECT count(*) AS n FROM session_nodes").get().n;
    files += 1;
  } catch (error) {
    console.log(`${file}: ${error.message}`);
    process.exit(1);
  } finally {
    if (db) db.close();
  }
}
function walk(folder) {
  if (!fs.existsSync(folder)) return;
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) walk(file);
    else if (entry.isFile() && entry.name.endsWith(".sqlite")) examine(file);
  }
}
for (const folder of process.argv.slice(1)) walk(folder);
console.log(JSON.stringify({ files, sessions }));
"""
_NANOBOT = """
import json, pathlib, sys
files = sessions = 0
for file in sorted(pathlib.Path(sys.argv[1]).glob("*/*.jsonl")):
    if file.is_symlink() or not file.is_file():
        continue
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                if line.strip() and not isinstance(json.loads(line), dict):
                    raise ValueError("no object")
            except (ValueError, RecursionError) as error:
                sys.exit(f"{file}, line {number}: {error}")
    files, sessions = files + 1, sessions + 1
print(json.dumps({"files": files, "sessions": sessions}))
"""
OPENCLAW = ("node", "-e", _OPENCLAW, "/data/.openclaw/agents", "/data/.openclaw/state")
"""Every database checked; its locks, which lie in `tmp`, aren't among them."""
NANOBOT = ("python3", "-c", _NANOBOT, "/data/.nanobot/sessions")


def sessions_found(output: bytes) -> int | None:
    """How many sessions such a program found, by its last line; None where it doesn't say."""
    try:
        told = json.loads(output.splitlines()[-1])
    except (ValueError, IndexError, RecursionError):
        return None
    found = told.get("sessions") if isinstance(told, dict) else None
    return found if isinstance(found, int) else None
