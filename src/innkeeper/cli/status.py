"""`innkeeper status`: the house at a glance, on one screen."""

from __future__ import annotations

from typing import Any

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.options import Json

ATTENTION = 8
"""So many tenants that need attention are named; more wouldn't fit on a screen of 24 lines."""
WIDTH = 78


def status(ctx: typer.Context, as_json: Json = False) -> None:
    """Show the house at a glance: tenants by state, what it rests on, and what is left of the host."""
    desk: Desk = ctx.obj
    found = desk.client.document("/v1/status")
    if as_json:
        show.document(found)
        return
    for text in summary(found):
        show.line(text if len(text) <= WIDTH else text[: WIDTH - 1] + "…")
    if found["tenants"]["by_state"]["failed"]:
        _attention(desk)


def summary(found: dict[str, Any]) -> list[str]:
    """The status in a few lines."""
    tenants, host = found["tenants"], found["host"]
    by_state = [f"{number} {state}" for state, number in tenants["by_state"].items() if number]
    return [
        f"Innkeeper {found['version']}, tenants at *.{found['domain']}",
        "",
        f"tenants     {tenants['total']}" + (f": {', '.join(by_state)}" if by_state else ""),
        f"operations  {found['open_operations']} open",
        f"in memory   {_taken(found['sleeping'])}",
        "",
        *(_part(part) for part in found["parts"]),
        "",
        f"cpu         {host['cpus']}, load {host['load_1m']}",
        f"memory      {_left(host['memory_available_mb'], host['memory_mb'])}",
        f"swap        {_left(host['swap_free_mb'], host['swap_mb'])}{_zram(host)}",
        *_gaps(found["sleeping"]),
        f"disk        {_left(host['disk_free_mb'], host['disk_mb'])}",
    ]


def _part(part: dict[str, Any]) -> str:
    says = ", ".join(filter(None, (part["version"], part["says"])))
    return f"{part['name']:<11} {'up' if part['up'] else 'DOWN'}" + (f" ({says})" if says else "")


def _left(free: int | None, total: int | None) -> str:
    if not total or free is None:
        return "none" if total == 0 else "unknown"
    return f"{free / 1024:.1f} GB free of {total / 1024:.1f}"


def _zram(host: dict[str, Any]) -> str:
    if host["zram_stored_mb"] is None:
        return ""
    return f"; zram holds {host['zram_stored_mb']} MB in {host['zram_memory_mb']} MB"


def _taken(sleeping: dict[str, Any]) -> str:
    """What tenants take, and who waits to start."""
    memory = sleeping["memory"]
    zram = "" if memory["zram_mb"] is None else f" (as zram {memory['zram_mb']} MB)"
    line = f"{memory['measured']} tenants: {memory['resident_mb']} MB in RAM, {memory['swap_mb']} MB in swap{zram}"
    if sleeping["starting"] or sleeping["waiting"]:
        line += f"; {sleeping['starting']} starting, {sleeping['waiting']} waiting"
    return line


def _gaps(sleeping: dict[str, Any]) -> list[str]:
    """The rung that most hosts could have and this one hasn't."""
    return [
        f"            no page-outs: {each['why']}"
        for each in sleeping["ladder"]
        if each["rung"] == "paged" and not each["available"]
    ]


def _attention(desk: Desk) -> None:
    """Name the tenants that can't run."""
    failed = [tenant["name"] for tenant in desk.client.items("/v1/tenants") if tenant["state"] == "failed"]
    show.line()
    for name in failed[:ATTENTION]:
        show.line(f"failed      {name}: innkeeper tenant show {name}")
    if len(failed) > ATTENTION:
        show.line(f"            and {len(failed) - ATTENTION} more")
