"""`innkeeper drill run|list`: snapshots brought up once, out of everybody's reach, to prove that they can be."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.exits import ExitCode, Stop
from innkeeper.cli.operate import ended
from innkeeper.cli.options import Json, TenantArgument, Wait
from innkeeper.cli.paths import path_part
from innkeeper.core.drill_catalogue import short_id

app = typer.Typer(no_args_is_help=True, help="Proofs that snapshots can be restored.")


@app.command()
def run(
    ctx: typer.Context,
    tenant: TenantArgument,
    snapshot: Annotated[
        str | None, typer.Option(metavar="ID", help="How the snapshot's id begins; else the newest.")
    ] = None,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Restore a tenant's snapshot into a throwaway instance that reaches nobody, and say whether it comes up."""
    desk: Desk = ctx.obj
    body = {"snapshot": snapshot} if snapshot else None
    operation = desk.client.send("POST", f"/v1/tenants/{path_part(tenant)}/drills", body=body)
    if wait:
        operation = ended(desk.client, operation)
    if as_json:
        show.document(operation)
    if operation["status"] == "failed":
        raise Stop(operation["error"], ExitCode.FAILED, told=as_json)
    if not as_json:
        show.line(_says(tenant, operation))


@app.command("list")
def index(
    ctx: typer.Context,
    tenant: Annotated[str | None, typer.Argument(help="Only those of this tenant.")] = None,
    as_json: Json = False,
) -> None:
    """List the drills that are over, the newest first."""
    desk: Desk = ctx.obj
    path = f"/v1/tenants/{path_part(tenant)}/drills" if tenant else "/v1/drills"
    found = list(desk.client.items(path))
    if as_json:
        show.document(found)
        return
    columns = ("TENANT", "OUTCOME", "SNAPSHOT", "TAKEN", "DRILLED", "SECONDS", "SESSIONS", "SAYS")
    show.table(columns, [_row(drill) for drill in found], empty="No snapshot was drilled yet.")


def _row(drill: dict[str, Any]) -> tuple[Any, ...]:
    says = f"{drill['failed_at']}: {drill['says']}".partition("\n")[0] if drill["says"] else ""
    return (
        drill["tenant"],
        drill["outcome"],
        short_id(drill["snapshot"]),
        show.ago(drill["taken_at"]),
        show.ago(drill["ended_at"]),
        f"{sum(step['seconds'] for step in drill['steps']):.1f}",
        "" if drill["sessions"] is None else drill["sessions"],
        says,
    )


def _says(tenant: str, operation: dict[str, Any]) -> str:
    result = operation["result"]
    if result is None:
        return f"the drill of {tenant} has begun: {operation['id']}"
    sessions = "" if result["sessions"] is None else f", {result['sessions']} sessions"
    return f"the snapshot {short_id(result['snapshot'])} of {tenant} is proven: {result['release']}{sessions}"
