"""Backups: are restic and its sandbox there, does each target answer, and has the disk room for another one?"""

from __future__ import annotations

import asyncio
import re

from innkeeper.core.errors import Problem
from innkeeper.host.doctor.finding import Finding, Status
from innkeeper.host.doctor.host import BackupFacts, Host

OLDEST = (0, 14)
"""The first restic with a repository format that compresses, and with passwords of sources by file."""
WARN_BELOW_MB = 5120
_INSTALL = "Install them: `apt-get install restic bubblewrap`."


async def check(host: Host) -> Finding:
    """The programs first: without them nothing else can be told."""
    facts = host.backups
    if facts is None or not (facts.folders or facts.elsewhere):
        return Finding(name="backups", status=Status.WARN, says="there are none: no target is set", fix=_SET)
    if missing := [name for name, program in facts.programs.items() if program is None]:
        return Finding(
            name="backups",
            status=Status.FAIL,
            says=f"{' and '.join(missing)} isn't installed: no tenant is backed up",
            fix=_INSTALL,
        )
    restic = str(facts.programs["restic"])
    version = await _version(restic)
    if version is None or version < OLDEST:
        return Finding(
            name="backups", status=Status.FAIL, says=f"{restic} doesn't run or is older than 0.14", fix=_INSTALL
        )
    return await _targets(host, facts)


_SET = "Set INNKEEPER_BACKUP_LOCAL or INNKEEPER_BACKUP_REMOTE; see docs/how-to/choose-backup-targets.md."


async def _targets(host: Host, facts: BackupFacts) -> Finding:
    for name, reach in facts.far.items():
        try:
            await reach()
        except Problem as problem:
            return Finding(name="backups", status=Status.FAIL, says=f"{name}: {problem.message}", fix=problem.hint)
    for folder in facts.folders:
        free_mb = await asyncio.to_thread(host.free_mb, folder)
        if free_mb < WARN_BELOW_MB:
            return Finding(
                name="backups",
                status=Status.WARN,
                says=f"{free_mb} MB free under {folder}, where snapshots go",
                fix="Make room there, keep fewer snapshots, or name a folder on another disk with "
                "INNKEEPER_BACKUP_LOCAL.",
            )
    there = [*(str(folder) for folder in facts.folders), *facts.far]
    if not facts.elsewhere:
        return Finding(
            name="backups",
            status=Status.WARN,
            says=f"the only copy lies at {there[0]}: a fire or a thief takes it with the host",
            fix="Name a second place with INNKEEPER_BACKUP_REMOTE; see docs/how-to/choose-backup-targets.md.",
        )
    unseen = "; the remote target is tried by a control plane that runs" if facts.unseen else ""
    says = f"restic is there, and so is {' and '.join(there)}{unseen}" if there else f"restic is there{unseen}"
    return Finding(name="backups", status=Status.OK, says=says)


async def _version(restic: str) -> tuple[int, ...] | None:
    try:
        process = await asyncio.create_subprocess_exec(
            restic, "version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError:
        return None
    output, _ = await process.communicate()
    found = re.match(r"restic (\d+)\.(\d+)", output.decode(errors="replace"))
    return None if found is None else (int(found[1]), int(found[2]))
