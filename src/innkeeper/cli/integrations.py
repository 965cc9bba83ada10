"""`innkeeper integration list|connect|disconnect`: other services that a tenant is connected to."""

from __future__ import annotations

from typing import Annotated

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.options import Json, TenantArgument, Yes
from innkeeper.cli.paths import path_part

app = typer.Typer(no_args_is_help=True, help="Other services that tenants are connected to.")
Which = Annotated[
    str, typer.Argument(metavar="INTEGRATION", help="The integration's name; see `innkeeper integration list`.")
]


@app.command("list")
def index(ctx: typer.Context, tenant: TenantArgument, as_json: Json = False) -> None:
    """List what there is to connect, and how the tenant's connections are."""
    desk: Desk = ctx.obj
    found = list(desk.client.items(f"/v1/tenants/{path_part(tenant)}/integrations"))
    if as_json:
        show.document(found)
        return
    rows = [
        (
            each["name"],
            each["title"],
            each["standing"],
            each["connected_as"] or "",
            each["connected_at"] or "",
            " ".join(each["scopes"]),
            each["error"] or "",
        )
        for each in found
    ]
    heads = ("NAME", "TITLE", "IS", "BY", "SINCE", "SCOPES", "ERROR")
    show.table(heads, rows, empty="There are no integrations. Operators add them in the settings.")


@app.command()
def connect(ctx: typer.Context, tenant: TenantArgument, integration: Which, as_json: Json = False) -> None:
    """Print the page on which an owner of the tenant, signed in to the console, connects the service."""
    desk: Desk = ctx.obj
    told = desk.client.send("POST", f"{_path(tenant, integration)}/connect")
    if as_json:
        show.document(told)
        return
    show.line(told["url"])
    show.aside("Open it in a browser that is signed in to the console as an owner of the tenant.")


@app.command()
def disconnect(
    ctx: typer.Context, tenant: TenantArgument, integration: Which, yes: Yes = False, as_json: Json = False
) -> None:
    """Give a service's tokens back to it and forget them."""
    desk: Desk = ctx.obj
    show.confirm(f"Disconnect {tenant} from {integration}?", yes=yes)
    told = desk.client.send("DELETE", _path(tenant, integration))
    if as_json:
        show.document(told)
        return
    show.line(f"{tenant} is disconnected from {integration}")
    if not told["revoked"]:
        show.aside("The service wasn't told, or didn't take it: end it in its own settings, too.")


def _path(tenant: str, integration: str) -> str:
    return f"/v1/tenants/{path_part(tenant)}/integrations/{path_part(integration)}"
