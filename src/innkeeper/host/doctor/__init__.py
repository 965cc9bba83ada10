"""`innkeeper doctor`: one small check a file, all run at once, none able to break another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from innkeeper.core.errors import Problem, RuntimeUnavailable
from innkeeper.host.doctor import (
    audit,
    backup_age,
    backups,
    bridge_netfilter,
    caddy,
    certificates,
    cgroups,
    clock,
    disk,
    docker,
    egress,
    images,
    inotify,
    isolation,
    keyring,
    ladder,
    leftovers,
    listening,
    memory,
    names,
    ports,
    revocation,
    swap,
)
from innkeeper.host.doctor.finding import Finding, Status
from innkeeper.host.doctor.host import Host

Check = Callable[[Host], Awaitable[Finding]]

CHECKS: tuple[Check, ...] = (
    docker.check,
    cgroups.check,
    bridge_netfilter.check,
    ports.check,
    disk.check,
    memory.check,
    swap.check,
    ladder.check,
    inotify.check,
    clock.check,
    caddy.check,
    certificates.check,
    names.check,
    images.check,
    listening.check,
    isolation.check,
    egress.check,
    revocation.check,
    audit.check,
    keyring.check,
    backups.check,
    backup_age.check,
    leftovers.check,
)

DEADLINE_S = 20.0
"""For each: the slowest, the probe from inside a tenant, waits for connections that are meant to fail."""


async def run(host: Host, *, checks: tuple[Check, ...] = CHECKS, deadline_s: float = DEADLINE_S) -> list[Finding]:
    """Every finding, in the order of the checks."""
    return await asyncio.gather(*(_guarded(check, host, deadline_s) for check in checks))


async def _guarded(check: Check, host: Host, deadline_s: float) -> Finding:
    name = check.__module__.rpartition(".")[2]
    try:
        async with asyncio.timeout(deadline_s):
            return await check(host)
    except TimeoutError:
        says, fix = f"no answer within {deadline_s:g} s", "Look at the load of this host, then run it again."
    except RuntimeUnavailable as problem:
        if check is not docker.check:  # told once is enough
            return Finding(name=name, status=Status.SKIP, says="needs the Docker Engine, which doesn't answer")
        says, fix = problem.message, problem.hint
    except Problem as problem:
        says, fix = problem.message, problem.hint
    except Exception as error:  # whatever a check trips over is a finding, too
        says, fix = f"the check itself broke: {type(error).__name__}: {error}", "Please report it."
    return Finding(name=name, status=Status.FAIL, says=says, fix=fix)
