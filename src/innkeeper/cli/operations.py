"""`innkeeper operation show|list`: how far work is that was asked for."""

from __future__ import annotations

from collections import deque
from typing import Annotated, Any

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.exits import ExitCode, Stop
from innkeeper.cli.operate import ended
from innkeeper.cli.options import Json
from innkeeper.cli.paths import path_part

app = typer.Typer(no_args_is_help=True, help="Operations: long pieces of work.")


@app.command("show")
def look(
    ctx: typer.Context,
    operation_id: Annotated[str, typer.Argument(metavar="ID", help="The operation's id.")],
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it has ended.")] = False,
    as_json: Json = False,
) -> None:
    """Show an operation; with --wait its end, and exit code 1 when it failed."""
    desk: Desk = ctx.obj
    operation = desk.client.document(f"/v1/operations/{path_part(operation_id)}")
    if wait:
        operation = ended(desk.client, operation)
    if as_json:
        show.document(operation)
    else:
        _tell(operation)
    if wait and operation["status"] == "failed":
        raise Stop(operation["error"], ExitCode.FAILED, told=True)


@app.command("list")
def index(
    ctx: typer.Context,
    tenant: Annotated[str | None, typer.Option(help="Only those of this tenant.")] = None,
    only_open: Annotated[bool, typer.Option("--open", help="Only those that haven't ended.")] = False,
    last: Annotated[int, typer.Option(min=1, help="How many of the latest.")] = 50,
    as_json: Json = False,
) -> None:
    """List the latest operations, the oldest of them first."""
    desk: Desk = ctx.obj
    params = {"tenant": tenant, "open": only_open}
    found = list(deque(desk.client.items("/v1/operations", params), maxlen=last))
    if as_json:
        show.document(found)
        return
    rows = [
        (
            each["id"],
            each["kind"],
            each["tenant"],
            each["status"],
            each["progress"]["step"],
            show.ago(each["created_at"]),
        )
        for each in found
    ]
    show.table(("ID", "KIND", "TENANT", "STATUS", "STEP", "BEGUN"), rows, empty="There are no operations.")


def _tell(operation: dict[str, Any]) -> None:
    progress, error = operation["progress"], operation["error"]
    show.facts(
        [
            ("id", operation["id"]),
            ("kind", operation["kind"]),
            ("tenant", operation["tenant"]),
            ("status", operation["status"]),
            ("progress", f"{progress['step']} ({progress['done']} of {progress['of']} done)"),
            ("error", f"{error['code']}: {error['detail']}" if error else None),
            ("hint", error["hint"] if error else None),
            ("created", operation["created_at"]),
            ("updated", operation["updated_at"]),
        ]
    )
