"""`innkeeper token create|list|revoke`: credentials for programs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.exits import wrong_usage
from innkeeper.cli.expiry import Expires, expires_at
from innkeeper.cli.options import Json, Yes
from innkeeper.cli.paths import path_part
from innkeeper.core.access import ALL_SCOPES

app = typer.Typer(no_args_is_help=True, help="API tokens: credentials for programs.")


@app.command()
def create(
    ctx: typer.Context,
    label: Annotated[str, typer.Option("--name", help="What it is for.")] = "default",
    role: Annotated[str | None, typer.Option(help="On the whole platform: admin, operator or auditor.")] = None,
    tenant: Annotated[str | None, typer.Option(metavar="NAME", help="The one tenant that it is good for.")] = None,
    tenant_role: Annotated[str | None, typer.Option(help="In that tenant: owner, member or viewer.")] = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="Only read, use, operate, manage or audit; repeated. Without, all of them.")
    ] = None,
    expires: Expires = None,
    as_json: Json = False,
) -> None:
    """Create a service's token and print it: this once, for it is kept nowhere."""
    desk: Desk = ctx.obj
    body = _body(label, role, tenant, tenant_role, scope, expires)
    token = desk.client.send("POST", "/v1/tokens", body=body)
    if as_json:
        show.document(token)
        return
    show.line(token["token"])
    show.aside(f"Keep it: it can't be shown again. Sent as `Authorization: Bearer`, it may: {_may(token)}.")


@app.command("list")
def index(ctx: typer.Context, as_json: Json = False) -> None:
    """List tokens, without their secrets: all, for those who manage users."""
    desk: Desk = ctx.obj
    found = list(desk.client.items("/v1/tokens"))
    if as_json:
        show.document(found)
        return
    rows = [
        (
            token["id"],
            token["name"],
            token["user"] or "a service",
            token["hint"],
            _may(token),
            token["created_at"],
            token["expires_at"] or "never",
        )
        for token in found
    ]
    show.table(("ID", "NAME", "WHOSE", "BEGINS", "MAY", "CREATED", "EXPIRES"), rows, empty="There are no tokens.")


@app.command()
def revoke(
    ctx: typer.Context,
    token_id: Annotated[str, typer.Argument(metavar="TOKEN", help="The token's id; see `innkeeper token list`.")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Revoke a token, at once and for good; what it opened ends within seconds."""
    desk: Desk = ctx.obj
    show.confirm(f"Revoke {token_id}?", yes=yes)
    desk.client.send("DELETE", f"/v1/tokens/{path_part(token_id)}")
    if as_json:
        show.document({"id": token_id, "revoked": True})
    else:
        show.line(f"{token_id} is revoked")


def _body(
    label: str,
    role: str | None,
    tenant: str | None,
    tenant_role: str | None,
    scope: list[str] | None,
    expires: str | None,
) -> dict[str, Any]:
    # Whatever credential this command line has, it is no browser's session, so the token can't be its maker's own.
    if (role is None) is (tenant_role is None):
        raise wrong_usage(
            "A token that is made here is no user's, so it needs one role of its own.",
            hint="Say --role admin, operator or auditor; or --tenant NAME with --tenant-role owner, member or viewer.",
        )
    if tenant_role is not None and tenant is None:
        raise wrong_usage("A role in a tenant needs the tenant.", hint="Say --tenant NAME, too.")
    body = {
        "name": label,
        "role": role,
        "tenant": tenant,
        "tenant_role": tenant_role,
        "expires_at": expires_at(expires),
    }
    return {**body, "scopes": scope} if scope else body


def _may(token: dict[str, Any]) -> str:
    """`operator, read and use only, in alice`."""
    role = token["role"] or token["tenant_role"] or "what its user may"
    scopes = "" if len(token["scopes"]) == len(ALL_SCOPES) else f", only {' and '.join(token['scopes'])}"
    return f"{role}{scopes}" + (f", in {token['tenant']}" if token["tenant"] else "")
