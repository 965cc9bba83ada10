"""Whether databases that came out of a snapshot hold: asked of SQLite itself, in a sandbox.

A database may belong to somebody hostile, and SQLite believes what lies beside one: a link by the name of its log is
followed, a journal may name other files to be removed. So it sees nothing but the tenant's own folder.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from innkeeper.core.errors import UnitFault

CHECK_S = 600.0
"""For all of a tenant's; what isn't looked at by then counts as whole."""
_PROGRAM = Path(__file__).with_name("sqlite_check.py")
_PYTHON = str(Path(sys.executable).resolve())
_LIBRARIES = ("/lib", "/lib64", "/usr", "/etc/ld.so.cache")


async def broken(persistence: Path, databases: Sequence[str]) -> Sequence[str]:
    """Those of the databases, paths below `persistence`, that don't hold, each with what SQLite says of it."""
    if not databases:
        return []
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise UnitFault("bubblewrap isn't installed.", hint="`apt-get install bubblewrap`.")
    command = [
        bwrap,
        *("--die-with-parent", "--new-session", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net"),
        *("--cap-drop", "ALL", "--cap-add", "CAP_DAC_OVERRIDE"),
        *("--clearenv", "--tmpfs", "/tmp", "--dev", "/dev"),  # noqa: S108 - the sandbox's own
        *(part for each in _LIBRARIES for part in ("--ro-bind-try", each, each)),
        *("--ro-bind", sys.base_prefix, sys.base_prefix),
        *("--bind", str(persistence), "/data", "--chdir", "/tmp"),  # noqa: S108
        *("--", _PYTHON, "-I", "-S", "-c", _PROGRAM.read_text()),
    ]
    pipe = asyncio.subprocess.PIPE
    asked = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(CHECK_S):
            said, trouble = await asked.communicate(b"\0".join(map(os.fsencode, databases)))
    except TimeoutError:
        return []
    finally:
        if asked.returncode is None:
            asked.kill()
            await asked.wait()
    if asked.returncode:
        last = trouble.decode(errors="replace").strip().splitlines()[-1:] or ["it ended without a word"]
        raise UnitFault(f"The databases couldn't be looked at: {last[0][:200]}.", hint="Run `innkeeper doctor`.")
    return [": ".join(os.fsdecode(part).split("\n", 1)) for part in said.split(b"\0") if part]
