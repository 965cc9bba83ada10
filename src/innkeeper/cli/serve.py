"""`innkeeper serve`: the control plane itself, in the foreground, detached, or stopped."""

from __future__ import annotations

from typing import Annotated

import typer

from innkeeper.cli.desk import Desk
from innkeeper.cli.exits import wrong_usage


def serve(
    ctx: typer.Context,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return once it is ready; it outlives the terminal.")
    ] = False,
    down: Annotated[bool, typer.Option("--down", help="Stop the one that runs, and Caddy; tenants run on.")] = False,
) -> None:
    """Run the control plane until it is told to stop."""
    if detach and down:
        raise wrong_usage("--detach starts it and --down stops it: say one of them.")
    desk: Desk = ctx.obj
    settings = desk.settings
    from innkeeper import serve as server

    act = server.detach if detach else server.stop if down else server.run
    raise typer.Exit(act(settings))
