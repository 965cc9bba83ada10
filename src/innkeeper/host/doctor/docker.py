"""Docker: does the Engine answer, and are it and its runc new enough?"""

from __future__ import annotations

import re
from typing import Any

from innkeeper.host.doctor.finding import Finding, Status
from innkeeper.host.doctor.host import Host

OLDEST = (20, 10)
RUNC_MENDED = ((1, 2, 8), (1, 3, 3), (1, 4, 0))
"""The first release of each line of runc without CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881."""


async def check(host: Host) -> Finding:
    """Reachable, 20.10 or newer, and a runc without known ways out of a container."""
    answer = await host.engine("/version")
    version = str(answer.get("Version", ""))
    if _numbers(version) < OLDEST:
        return Finding(
            name="docker",
            status=Status.FAIL,
            says=f"Docker Engine {version} is too old: 20.10 is the oldest that works",
            fix="Upgrade the docker.io package, or install Docker's own.",
        )
    runc = _runc(answer)
    if runc and not is_mended(_numbers(runc)):
        return Finding(
            name="docker",
            status=Status.WARN,
            says=f"Docker Engine {version} answers; its runc {runc} predates 1.2.8 and 1.3.3, which close "
            "CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881",
            fix="Upgrade runc. Distributions mend old versions too: see `apt changelog runc`.",
        )
    return Finding(name="docker", status=Status.OK, says=f"Docker Engine {version} answers, runc {runc or '?'}")


def is_mended(runc: tuple[int, ...]) -> bool:
    """Whether that release of runc has the fixes: each line got them in a release of its own."""
    return any(runc >= first and runc[:2] == first[:2] for first in RUNC_MENDED) or runc >= RUNC_MENDED[-1]


def _runc(answer: dict[str, Any]) -> str:
    components = {part.get("Name"): part.get("Version", "") for part in answer.get("Components") or []}
    return str(components.get("runc", ""))


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"v?(\d+(?:\.\d+)*)", version)
    return tuple(int(part) for part in found[1].split(".")) if found else ()
