"""`innkeeper host swap`: what the host has for sleepers' memory, and what would be good to have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.exits import wrong_usage
from innkeeper.cli.options import Json, Yes

if TYPE_CHECKING:  # what it looks with is imported where it looks, so that `--help` is quick
    from innkeeper.host.swap import Advice, SwapFacts

MB = 1024 * 1024

app = typer.Typer(no_args_is_help=True, help="This host: looked at here, without the control plane.")


@app.callback()
def host() -> None:
    """This host."""


@app.command()
def swap(
    ctx: typer.Context,
    set_up: Annotated[bool, typer.Option("--set-up", help="Make what is advised, until the next reboot.")] = False,
    take_down: Annotated[bool, typer.Option("--take-down", help="Give up what --set-up made, and no other.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Show the swap there is and what to add: sleeping tenants' memory goes there. Changes nothing unless told to."""
    if set_up and take_down:
        raise wrong_usage("--set-up makes swap and --take-down gives it up: say one of them.")
    desk: Desk = ctx.obj
    import asyncio

    from innkeeper import diagnosis

    if set_up:
        show.confirm("Make the swap that is advised?", yes=yes)
        asyncio.run(diagnosis.set_up_swap(desk.settings))
    if take_down:
        show.confirm("Give up the swap that was set up here?", yes=yes)
        asyncio.run(diagnosis.take_down_swap(desk.settings))
    facts, advised = asyncio.run(diagnosis.look_at_swap(desk.settings))
    if as_json:
        show.document(_document(facts, advised))
    else:
        _print(facts, advised)


def _print(facts: SwapFacts, advised: Advice) -> None:
    rows = [(area.path, str(area.kind), area.size_bytes // MB, area.used_bytes // MB) for area in facts.areas]
    show.table(("AREA", "KIND", "MB", "USED MB"), rows, empty="There is no swap: a paused tenant keeps all its memory.")
    for zram in facts.zrams:
        show.line(f"zram holds {zram.stored_bytes // MB} MB in {zram.memory_bytes // MB} MB of memory.")
    for reason in advised.why:
        show.line(reason)
    if advised.zram_bytes or advised.file_bytes:
        show.aside("Make it: innkeeper host swap --set-up")


def _document(facts: SwapFacts, advised: Advice) -> dict[str, Any]:
    return {
        "memory_mb": facts.memory_bytes // MB,
        "swap_mb": facts.swap_bytes // MB,
        "free_mb": facts.free_bytes // MB,
        "areas": [
            {
                "path": area.path,
                "kind": str(area.kind),
                "size_mb": area.size_bytes // MB,
                "used_mb": area.used_bytes // MB,
            }
            for area in facts.areas
        ],
        "zram": [{"stored_mb": zram.stored_bytes // MB, "memory_mb": zram.memory_bytes // MB} for zram in facts.zrams],
        "advice": {
            "zram_mb": advised.zram_bytes // MB,
            "file_mb": advised.file_bytes // MB,
            "why": list(advised.why),
        },
    }
