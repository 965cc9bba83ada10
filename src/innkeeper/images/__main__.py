"""Builds images without a control plane: `python -m innkeeper.images openclaw nanobot`."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

import aiodocker

from innkeeper.core.errors import Problem
from innkeeper.images.build import ImageBuilder
from innkeeper.images.catalogue import Source
from innkeeper.images.known import RECIPES


def main() -> int:
    """Build the agents named on the command line, all of them by default."""
    parser = argparse.ArgumentParser(prog="python -m innkeeper.images", description=__doc__)
    parser.add_argument("agents", nargs="*", default=sorted(RECIPES), metavar="AGENT")
    parser.add_argument("--source", type=Source, default=Source.AUTO, choices=list(Source))
    parser.add_argument("--work-dir", type=Path, default=_data_dir() / "images")
    options = parser.parse_args()
    try:
        asyncio.run(_build(options.agents, options.source, options.work_dir))
    except Problem as problem:
        sys.stderr.write(f"{problem.code}: {problem.message}\n{problem.hint}\n")
        return 1
    return 0


async def _build(agents: list[str], source: Source, work_dir: Path) -> None:
    async with aiodocker.Docker() as docker:
        builder = ImageBuilder(docker=docker, work_dir=work_dir)
        for agent in agents:
            built = await builder.build(agent, source=source, progress=lambda says: _say(f"  {says}"))
            _say(f"{built.agent} {built.version}: {built.image} ({built.source}, {built.size_mb} MB)")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _data_dir() -> Path:
    if named := os.environ.get("INNKEEPER_DATA"):
        return Path(named)
    return Path("/var/lib/innkeeper") if os.geteuid() == 0 else Path.home() / ".local/share/innkeeper"


if __name__ == "__main__":
    sys.exit(main())
