"""`innkeeper audit list`: who changed what."""

from __future__ import annotations

from collections import deque
from typing import Annotated

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.options import Json

app = typer.Typer(no_args_is_help=True, help="The audit trail.")


@app.command("list")
def index(
    ctx: typer.Context,
    tenant: Annotated[str | None, typer.Option(help="Only what concerns this tenant.")] = None,
    last: Annotated[int, typer.Option(min=1, help="How many of the latest.")] = 50,
    as_json: Json = False,
) -> None:
    """List the latest entries of the trail, the oldest of them first."""
    desk: Desk = ctx.obj
    found = list(deque(desk.client.items("/v1/audit", {"tenant": tenant}), maxlen=last))
    if as_json:
        show.document(found)
        return
    rows = [
        (
            each["number"],
            each["at"],
            each["actor"],
            each["action"],
            each["tenant"],
            " ".join(f"{name}={value}" for name, value in each["detail"].items()),
        )
        for each in found
    ]
    show.table(("NO", "AT", "ACTOR", "ACTION", "TENANT", "DETAIL"), rows, empty="The trail is empty.")
