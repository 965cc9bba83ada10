"""`innkeeper mcp list|add|remove`: a tenant's servers of tools."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.exits import wrong_usage
from innkeeper.cli.operate import operate
from innkeeper.cli.options import Json, TenantArgument, Wait, Yes
from innkeeper.cli.paths import path_part

app = typer.Typer(no_args_is_help=True, help="Servers of tools (MCP) that a tenant's agent may use.")

ServerArgument = Annotated[
    str, typer.Argument(metavar="SERVER", help="What the tenant calls it; it stands before its tools' names.")
]


@app.command("list")
def index(ctx: typer.Context, tenant: TenantArgument, as_json: Json = False) -> None:
    """List the tools that a tenant's agent has, those that are kept back, and servers that don't answer."""
    desk: Desk = ctx.obj
    found = list(desk.client.items(f"{_path(tenant)}/tools"))
    if as_json:
        show.document(found)
        return
    rows = [
        (server["name"], tool["tool"], tool["name"] or "", _state(tool)) for server in found for tool in server["tools"]
    ]
    show.table(("SERVER", "TOOL", "THE AGENT'S NAME", "STATE"), rows, empty=f"{tenant} has no tools.")
    for server in found:
        if server["error"]:
            show.aside(f"{server['name']}: {server['error']}")
        elif not server["whole"]:
            show.aside(f"{server['name']} has more tools than are read.")


@app.command()
def add(
    ctx: typer.Context,
    tenant: TenantArgument,
    server: ServerArgument,
    url: Annotated[str | None, typer.Argument(metavar="[URL]", help="Where it is (streamable HTTP).")] = None,
    settings: Annotated[
        str | None, typer.Option("--settings", metavar="NAME", help="Take the server of that name in the settings.")
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(metavar="'NAME: VALUE'", help="Sent to it; name credentials, like ${secret:GITHUB}. Repeatable."),
    ] = None,
    allow: Annotated[list[str] | None, typer.Option(metavar="PATTERN", help="Only these tools. Repeatable.")] = None,
    deny: Annotated[list[str] | None, typer.Option(metavar="PATTERN", help="Not these tools. Repeatable.")] = None,
    keep_arguments: Annotated[
        bool, typer.Option("--keep-arguments", help="Have the audit trail hold what tools were called with.")
    ] = False,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Give a tenant a server of tools, or another in place of one of that name; its agent is started anew."""
    if (url is None) is (settings is None):
        raise wrong_usage("Say either where the server is, or with --settings which of the settings' it is.")
    if settings is not None and (header or allow or deny or keep_arguments):
        raise wrong_usage("Of a server in the settings, the settings say all that.")
    said: dict[str, Any] = {"url": url, "headers": dict(map(_header, header or ())), "deny": deny or []}
    said |= {"allow": allow} if allow else {}
    said |= {"keep_arguments": True} if keep_arguments else {}
    desk: Desk = ctx.obj
    _patch(desk, tenant, {**_servers(desk, tenant), server: settings or said}, wait=wait, as_json=as_json)


@app.command()
def remove(
    ctx: typer.Context,
    tenant: TenantArgument,
    server: ServerArgument,
    yes: Yes = False,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Take a server of tools from a tenant, at once; its agent is started anew."""
    desk: Desk = ctx.obj
    servers = _servers(desk, tenant)
    if servers.pop(server, None) is None:
        raise wrong_usage(f"{tenant} has no server of tools called {server}.")
    show.confirm(f"Take {server} from {tenant}?", yes=yes)
    _patch(desk, tenant, servers, wait=wait, as_json=as_json)


def _servers(desk: Desk, tenant: str) -> dict[str, Any]:
    servers: dict[str, Any] = desk.client.send("GET", _path(tenant))["uses"]["mcp"]
    return servers


def _patch(desk: Desk, tenant: str, servers: dict[str, Any], *, wait: bool, as_json: bool) -> None:
    body = {"uses": {"mcp": servers}}
    operate(desk.client, "PATCH", _path(tenant), tenant=tenant, body=body, wait=wait, as_json=as_json)
    if not as_json:
        show.line(f"{tenant} has tools of {', '.join(servers)}" if servers else f"{tenant} has no servers of tools")


def _header(said: str) -> tuple[str, str]:
    name, colon, value = said.partition(":")
    if not colon:
        raise wrong_usage(
            f"{name[:40]!r} isn't a header.", hint="Like --header 'Authorization: Bearer ${secret:NAME}'."
        )
    return name.strip(), value.strip()


def _state(tool: dict[str, Any]) -> str:
    if not tool["allowed"]:
        return "denied"
    return tool["says"] or "offered"


def _path(tenant: str) -> str:
    return f"/v1/tenants/{path_part(tenant)}"
