"""`innkeeper inbox list|replay|discard`: webhooks that were accepted for a tenant."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.exits import wrong_usage
from innkeeper.cli.options import Json, TenantArgument, Yes
from innkeeper.cli.paths import path_part

app = typer.Typer(no_args_is_help=True, help="Inboxes: webhooks that were accepted for tenants.")


@app.command("list")
def index(
    ctx: typer.Context,
    tenant: TenantArgument,
    state: Annotated[
        list[str] | None, typer.Option(help="Only waiting, delivering, delivered or dead ones; repeated.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List a tenant's messages in their order, without what they say."""
    desk: Desk = ctx.obj
    found = list(desk.client.items(_path(tenant), {"state": state}))
    if as_json:
        show.document(found)
        return
    rows = [
        (
            each["id"],
            each["path"],
            each["sender_id"],
            each["state"],
            show.ago(each["received_at"]),
            each["attempts"],
            each["last_error"],
        )
        for each in found
    ]
    columns = ("ID", "PATH", "SENDER'S ID", "STATE", "AGE", "ATTEMPTS", "LAST ERROR")
    show.table(columns, rows, empty=f"There is nothing in the inbox of {tenant}.")


@app.command()
def replay(
    ctx: typer.Context,
    tenant: TenantArgument,
    message_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="The message's id; see `innkeeper inbox list`.")
    ] = None,
    all_dead: Annotated[bool, typer.Option("--all-dead", help="All dead letters of the tenant.")] = False,
    as_json: Json = False,
) -> None:
    """Have dead letters delivered after all."""
    desk: Desk = ctx.obj
    if (message_id is None) is not all_dead:
        raise wrong_usage("Say which: the message's ID, or --all-dead.")
    if message_id is None:
        answer = desk.client.send("POST", f"{_path(tenant)}/replay")
        says = f"{answer['replayed']} dead letters of {tenant} wait to be delivered again"
    else:
        answer = desk.client.send("POST", f"{_path(tenant, message_id)}/replay")
        says = f"{message_id} waits to be delivered again"
    _tell(answer, says, as_json=as_json)


@app.command()
def discard(
    ctx: typer.Context,
    tenant: TenantArgument,
    message_id: Annotated[str, typer.Argument(metavar="ID", help="The message's id; see `innkeeper inbox list`.")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Remove a message for good, delivered or not."""
    desk: Desk = ctx.obj
    show.confirm(f"Discard {message_id} of {tenant}?", yes=yes)
    desk.client.send("DELETE", _path(tenant, message_id))
    _tell({"id": message_id, "tenant": tenant, "discarded": True}, f"{message_id} is discarded", as_json=as_json)


def _path(tenant: str, message_id: str | None = None) -> str:
    inbox = f"/v1/tenants/{path_part(tenant)}/inbox"
    return inbox if message_id is None else f"{inbox}/{path_part(message_id)}"


def _tell(document: dict[str, Any], says: str, *, as_json: bool) -> None:
    if as_json:
        show.document(document)
    else:
        show.line(says)
