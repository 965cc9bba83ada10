"""`innkeeper unit hydrate|status`: packs delivered into a tenant's folder, and how that stands."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.exits import ExitCode, Stop
from innkeeper.cli.operate import ended
from innkeeper.cli.options import Json, TenantArgument, Wait
from innkeeper.cli.paths import path_part

_SAYS = {
    "add": "new",
    "update": "updated",
    "overwrite": "overwritten",
    "beside": "both changed",
    "remove": "removed",
    "release": "dropped by the pack, yours now",
}
_COUNTED = {
    "same": "as in the pack",
    "keep": "changed by the tenant, and kept",
    "left_deleted": "deleted by the tenant, and left so",
}


def hydrate(
    ctx: typer.Context,
    name: TenantArgument,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite what the tenant has changed, and save the old one beside it.")
    ] = False,
    pack: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[@VERSION]", help="Only this pack, repeated; also one that it isn't given."),
    ] = None,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Deliver a tenant's packs now, whether it runs or not. What it has changed or deleted itself stays so."""
    desk: Desk = ctx.obj
    body = {"dry_run": dry_run, "force": force, "packs": pack or None}
    operation = desk.client.send("POST", f"/v1/tenants/{path_part(name)}/hydrate", body=body)
    if wait:
        operation = ended(desk.client, operation)
    if as_json:
        show.document(operation)
    if operation["status"] == "failed":
        raise Stop(operation["error"], ExitCode.FAILED, told=as_json)
    if not as_json:
        _tell(name, operation)


def status(ctx: typer.Context, name: TenantArgument, as_json: Json = False) -> None:
    """Show what a tenant's folder was delivered, and which files both the tenant and a pack have changed."""
    desk: Desk = ctx.obj
    unit = desk.client.document(f"/v1/tenants/{path_part(name)}/unit")
    if as_json:
        show.document(unit)
        return
    show.facts([
        ("tenant", unit["tenant"]),
        ("on disk", None if unit["disk_bytes"] is None else show.size(unit["disk_bytes"])),
        ("new versions come", "at the next start" if unit["hydrate"] == "auto" else "when somebody asks"),
        *(("pack", _pack(each)) for each in unit["packs"]),
        *(("conflict", _conflict(each)) for each in unit["conflicts"]),
    ])  # fmt: skip


def _pack(each: dict[str, Any]) -> str:
    has = ": nothing delivered yet"
    if each["version"] is not None:
        has = f" {each['version']}, delivered {show.ago(each['delivered_at'])} ago"
    if each["current"]:
        return f"{each['name']}{has}"
    return f"{each['name']}{has}; " + (f"{each['wanted']} is to come" if each["wanted"] else "not given any more")


def _conflict(each: dict[str, Any]) -> str:
    beside = f"{each['pack']} {each['version']} lies at {each['beside']}" if each["beside"] else "no name was free"
    return f"{each['path']}: changed by both; {beside}"


def _tell(name: str, operation: dict[str, Any]) -> None:
    if operation["status"] != "done":
        show.line(f"{name}: {operation['kind']} is {operation['status']} as {operation['id']}")
        return
    result = operation["result"]
    for each in result["files"]:
        at = f" -> {each['beside']}" if each["beside"] else f", the old one at {each['saved']}" if each["saved"] else ""
        show.line(f"{_SAYS.get(each['act'], each['act'])}: {each['path']}{at}")
    if result["left_out"]:
        show.line(f"… and {result['left_out']} more")
    for act, says in _COUNTED.items():
        if number := result["counts"].get(act):
            show.line(f"{number} {says}")
    packs = ", ".join(f"{each['name']} {each['version']}" for each in result["packs"])
    show.aside(f"{'Nothing was done' if result['dry_run'] else f'{name} has'}: {packs}")
