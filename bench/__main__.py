"""`bin/bench`: one command, one table, and the same as JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import traceback
from collections.abc import Awaitable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from bench import audit, backup, broker, fleet, gate, provision, rest, restore, scale, severing, tools, vault, wake
from bench.machine import load, machine
from bench.report import Area, document, table


class Measure(Protocol):
    """Measures one area; `quick` trades certainty for time."""

    def __call__(self, *, quick: bool) -> Awaitable[Area]: ...


AREAS: Mapping[str, Measure] = {
    "gate": gate.measure,
    "provision": provision.measure,
    "wake": wake.measure,
    "scale": scale.measure,
    "rest": rest.measure,
    "fleet": fleet.measure,
    "severing": severing.measure,
    "audit": audit.measure,
    "broker": broker.measure,
    "vault": vault.measure,
    "mcp": tools.measure,
    "backup": backup.measure,
    "restore": restore.measure,
}
OUT = Path(__file__).parent / "out"


def main(arguments: Sequence[str]) -> int:
    """Measure what was asked for; 1 when something of it couldn't be measured at all."""
    asked = _parser().parse_args(arguments)
    began, load_before = datetime.now(UTC), load()
    names = list(AREAS) if asked.area == "all" else [asked.area]
    if asked.rounds is not None:
        wake.ROUNDS = asked.rounds
    areas = [asyncio.run(_measured(name, quick=asked.quick)) for name in names]
    head = {"began": began.isoformat(timespec="seconds"), "command": " ".join(["bin/bench", *arguments]), **machine()}
    head |= {"load_before": load_before, "load_after": load()}
    print("\n".join(f"{name}: {value}" for name, value in head.items()), end="\n\n")
    print(table(areas))
    path = asked.json or OUT / f"{began:%Y-%m-%dT%H%M%SZ}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**head, "areas": document(areas)}, indent=2) + "\n")
    print(f"As JSON: {path}", file=sys.stderr)
    return int(any(not area.rows and area.missing for area in areas))


async def _measured(name: str, *, quick: bool) -> Area:
    print(f"measuring: {name} …", file=sys.stderr)
    try:
        return await AREAS[name](quick=quick)
    except Exception as error:  # the others are worth having all the same
        traceback.print_exc()
        return Area(name=name, how="It broke off.", rows=[], missing=[_in_a_line(error)])


def _in_a_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bin/bench", description="Measures Innkeeper beside its peers and the bare floor, in one run."
    )
    parser.add_argument(
        "area", nargs="?", choices=[*AREAS, "all"], default="all", help="what to measure (default: all)"
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: minutes instead of a quarter")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each wake (default: 20, quick 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the JSON goes (default: bench/out/DATE.json)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
