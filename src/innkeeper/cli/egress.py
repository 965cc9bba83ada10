"""`innkeeper egress show|set|forget`: which names on the net a tenant may reach, and which it asks for."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from innkeeper.cli import show as display
from innkeeper.cli.desk import Desk
from innkeeper.cli.exits import wrong_usage
from innkeeper.cli.options import Json, TenantArgument, Yes
from innkeeper.cli.paths import path_part
from innkeeper.core.uses import EgressMode
from innkeeper.core.uses_reading import is_name

LOOKS, PAUSE_S = 50, 0.1
"""How long a change is waited for until it holds: some seconds."""

app = typer.Typer(no_args_is_help=True, help="The tenants' ways out to the net.")


@app.command()
def show(ctx: typer.Context, tenant: TenantArgument, as_json: Json = False) -> None:
    """Show a tenant's mode and list, and the names that it has asked for."""
    desk: Desk = ctx.obj
    _tell(desk.client.document(_path(tenant)), as_json=as_json)


@app.command("set")
def change(
    ctx: typer.Context,
    tenant: TenantArgument,
    mode: Annotated[EgressMode | None, typer.Option(help="off, learn or enforce.")] = None,
    allow: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Add to the list; `*.example.com` is all below it.")
    ] = None,
    allow_learned: Annotated[
        bool, typer.Option("--allow-learned", help="Add every name that it has asked for. Look at them first.")
    ] = False,
    remove: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Take off the list.")] = None,
    as_json: Json = False,
) -> None:
    """Change a tenant's mode and list, and wait until they hold; the agent runs on."""
    desk: Desk = ctx.obj
    if mode is None and not (allow or allow_learned or remove):
        raise wrong_usage("Say what to change.", hint="--mode, --allow, --allow-learned or --remove.")
    now = desk.client.document(_path(tenant))
    learned = _learned(now) if allow_learned else []
    off = {name.strip().lower().removesuffix(".") for name in remove or ()}
    names = [name for name in (*now["names"], *(allow or ()), *learned) if name not in off]
    body = {"uses": {"egress": {"mode": mode or now["mode"], "names": names}}}
    desk.client.send("PATCH", f"/v1/tenants/{path_part(tenant)}", body=body)
    for _ in range(LOOKS):
        changed = desk.client.document(_path(tenant))
        if changed["in_force"]:
            break
        time.sleep(PAUSE_S)
    _tell(changed, as_json=as_json)


@app.command()
def forget(ctx: typer.Context, tenant: TenantArgument, yes: Yes = False, as_json: Json = False) -> None:
    """Forget the names that a tenant has asked for, to learn anew; mode and list stay."""
    desk: Desk = ctx.obj
    display.confirm(f"Forget what {tenant} has asked for?", yes=yes)
    gone = desk.client.send("DELETE", _path(tenant))
    if as_json:
        display.document(gone)
    else:
        display.line(f"{gone['forgotten']} names are forgotten")


def _learned(egress: dict[str, Any]) -> list[str]:
    """The names that it asked for and that aren't listed, but for those that can't be."""
    names = [each["name"] for each in egress["asked"] if not each["listed"]]
    if odd := [name for name in names if not is_name(name)]:
        display.aside(f"Left out, for they are no names on the net: {', '.join(odd)}.")
    return [name for name in names if is_name(name)]


def _path(tenant: str) -> str:
    return f"/v1/tenants/{path_part(tenant)}/egress"


def _tell(egress: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        display.document(egress)
        return
    mode = egress["mode"] if egress["in_force"] else f"{egress['mode']}, not yet in force"
    display.facts([("mode", mode), ("names", ", ".join(egress["names"]) or "none")])
    if egress["cannot"]:
        display.aside(f"Nothing is watched here: {egress['cannot']}.")
    display.line()
    rows = [
        (
            each["name"],
            "yes" if each["listed"] else "no",
            each["asked"],
            each["refused"],
            display.ago(each["first_seen"]),
            display.ago(each["last_seen"]),
        )
        for each in egress["asked"]
    ]
    columns = ("NAME", "LISTED", "ASKED", "REFUSED", "FIRST", "LAST")
    display.table(columns, rows, empty=f"{egress['tenant']} has asked for no names while it was watched.")
