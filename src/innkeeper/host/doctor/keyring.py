"""The keyring: is it the right one, closed to others, and is there a copy of it elsewhere?"""

from __future__ import annotations

import asyncio

from innkeeper.host.doctor.finding import Finding, Status
from innkeeper.host.doctor.host import Host

_NAMED = 3


async def check(host: Host) -> Finding:
    """What would be lost with the disk is said while it is there; a fault of the keyring itself is told by `run`."""
    if host.keyring is None:
        return Finding(name="keyring", status=Status.SKIP, says="there is none yet: the first start makes it")
    facts = await asyncio.to_thread(host.keyring)
    if host.keyless is not None and (lost := await asyncio.to_thread(host.keyless)):
        whose = f"{', '.join(lost[:_NAMED])}{' …' if len(lost) > _NAMED else ''}"
        return Finding(
            name="keyring",
            status=Status.FAIL,
            says=f"the data keys of {whose} are missing: from the next start on nothing opens their secrets",
            fix="Put them back before that: `innkeeper keyring import FILE`, or the folder `keys` from a backup.",
        )
    if behind := sum(each.wraps for each in facts.masters[:-1]):
        return Finding(
            name="keyring",
            status=Status.WARN,
            says=f"{behind} of {facts.data_keys} data keys hang on an older master key: a rotation isn't finished",
            fix="Run `innkeeper keyring rotate`: it goes on where it ended.",
        )
    keys = f"{len(facts.masters)} master and {facts.data_keys} data keys"
    if not facts.exports:
        return Finding(
            name="keyring",
            status=Status.WARN,
            says=f"{keys}, of which there is no copy: with this disk every secret would be lost",
            fix="Run `innkeeper keyring export FILE`, and take the file off this host.",
        )
    last = facts.exports[-1]
    if facts.unexported:
        return Finding(
            name="keyring",
            status=Status.WARN,
            says=f"{facts.unexported} of {keys} were made since the last export, at {last.at:%Y-%m-%d %H:%M} UTC",
            fix="Run `innkeeper keyring export FILE` again, and take the file off this host.",
        )
    held = sum(len(each.destroyed) for each in facts.exports)
    still = f"; earlier exports hold {held} keys that were destroyed since" if held else ""
    return Finding(
        name="keyring",
        status=Status.OK,
        says=f"{keys}, all of them exported at {last.at:%Y-%m-%d %H:%M} UTC or before{still}",
    )
