"""`innkeeper member list|add|remove`: what users are to a tenant."""

from __future__ import annotations

from typing import Annotated

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.options import Json, TenantArgument, UserArgument, Yes
from innkeeper.cli.paths import path_part

app = typer.Typer(no_args_is_help=True, help="Members of tenants: the users who may enter them.")


@app.command("list")
def index(ctx: typer.Context, tenant: TenantArgument, as_json: Json = False) -> None:
    """List a tenant's members."""
    desk: Desk = ctx.obj
    found = list(desk.client.items(_path(tenant)))
    if as_json:
        show.document(found)
        return
    rows = [(each["mail"], each["name"], each["role"], each["created_at"]) for each in found]
    show.table(("MAIL", "NAME", "ROLE", "SINCE"), rows, empty=f"{tenant} has no members.")


@app.command()
def add(
    ctx: typer.Context,
    tenant: TenantArgument,
    who: UserArgument,
    role: Annotated[
        str, typer.Option(help="owner: uses it and says who else may; member: uses it; viewer: sees how it is.")
    ] = "member",
    as_json: Json = False,
) -> None:
    """Make a user a member of a tenant, or another sort of one."""
    desk: Desk = ctx.obj
    member = desk.client.send("PUT", _path(tenant, who), body={"role": role})
    if as_json:
        show.document(member)
    else:
        show.line(f"{member['mail']} is {_A[member['role']]} of {tenant}")


@app.command()
def remove(
    ctx: typer.Context, tenant: TenantArgument, who: UserArgument, yes: Yes = False, as_json: Json = False
) -> None:
    """Remove a member; what they have open at the tenant ends within seconds."""
    desk: Desk = ctx.obj
    show.confirm(f"Remove {who} from {tenant}?", yes=yes)
    desk.client.send("DELETE", _path(tenant, who))
    if as_json:
        show.document({"tenant": tenant, "user": who, "removed": True})
    else:
        show.line(f"{who} is no member of {tenant} any more")


_A = {"owner": "an owner", "member": "a member", "viewer": "a viewer"}


def _path(tenant: str, who: str | None = None) -> str:
    members = f"/v1/tenants/{path_part(tenant)}/members"
    return members if who is None else f"{members}/{path_part(who)}"
