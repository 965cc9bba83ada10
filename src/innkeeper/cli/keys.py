"""`innkeeper key create|list|revoke`: a tenant's API keys."""

from __future__ import annotations

from typing import Annotated

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.expiry import Expires, expires_at
from innkeeper.cli.options import Json, TenantArgument, Yes
from innkeeper.cli.paths import path_part

app = typer.Typer(no_args_is_help=True, help="API keys of tenants.")


@app.command()
def create(
    ctx: typer.Context,
    tenant: TenantArgument,
    label: Annotated[str, typer.Option("--name", help="What it is for.")] = "default",
    expires: Expires = None,
    as_json: Json = False,
) -> None:
    """Create a key and print it: this once, for it is kept nowhere."""
    desk: Desk = ctx.obj
    body = {"name": label, "expires_at": expires_at(expires)}
    key = desk.client.send("POST", f"/v1/tenants/{path_part(tenant)}/keys", body=body)
    if as_json:
        show.document(key)
        return
    show.line(key["key"])
    show.aside(f"Keep it: it can't be shown again. Sent as `Authorization: Bearer`, it lets into {tenant} alone.")


@app.command("list")
def index(ctx: typer.Context, tenant: TenantArgument, as_json: Json = False) -> None:
    """List a tenant's keys, without their secrets."""
    desk: Desk = ctx.obj
    found = list(desk.client.items(f"/v1/tenants/{path_part(tenant)}/keys"))
    if as_json:
        show.document(found)
        return
    rows = [(key["id"], key["name"], key["hint"], key["created_at"], key["expires_at"] or "never") for key in found]
    show.table(("ID", "NAME", "BEGINS", "CREATED", "EXPIRES"), rows, empty=f"{tenant} has no keys.")


@app.command()
def revoke(
    ctx: typer.Context,
    tenant: TenantArgument,
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="The key's id; see `innkeeper key list`.")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Revoke a key, at once and for good."""
    desk: Desk = ctx.obj
    show.confirm(f"Revoke {key_id} of {tenant}?", yes=yes)
    desk.client.send("DELETE", f"/v1/tenants/{path_part(tenant)}/keys/{path_part(key_id)}")
    if as_json:
        show.document({"id": key_id, "tenant": tenant, "revoked": True})
    else:
        show.line(f"{key_id} is revoked")
