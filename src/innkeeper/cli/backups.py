"""`innkeeper backup create|list|show|verify|repair|prune|restore-control`: snapshots of tenants and the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.exits import ExitCode, Stop, failed, wrong_usage
from innkeeper.cli.operate import ended
from innkeeper.cli.options import Json, TenantArgument, Wait, Yes
from innkeeper.cli.paths import path_part

if TYPE_CHECKING:
    from innkeeper.cli.client import Client

app = typer.Typer(no_args_is_help=True, help="Backups: snapshots of tenants, and of the control plane's database.")

MaybeTenant = Annotated[str | None, typer.Argument(metavar="[NAME]", help="The tenant's name.")]
SnapshotArgument = Annotated[str, typer.Argument(metavar="SNAPSHOT", help="Its id; see `innkeeper backup list NAME`.")]
All = Annotated[bool, typer.Option("--all", help="Of every tenant, and of the database.")]
Control = Annotated[bool, typer.Option("--control", help="Of the control plane's own database.")]


@app.command()
def create(
    ctx: typer.Context,
    name: MaybeTenant = None,
    everybody: All = False,
    control: Control = False,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Take a snapshot now, and unless told otherwise wait until it is verified and copied. A sleeper isn't woken."""
    desk: Desk = ctx.obj
    paths = _paths(desk.client, name, everybody=everybody, control=control)
    _begin(desk.client, paths, wait=wait, as_json=as_json)


@app.command("list")
def index(ctx: typer.Context, name: MaybeTenant = None, control: Control = False, as_json: Json = False) -> None:
    """List how everybody's backups stand; with a name, that tenant's snapshots."""
    desk: Desk = ctx.obj
    if name is not None and control:
        raise wrong_usage("Either a name or --control.")
    if name is None and not control:
        _list_all(desk.client, as_json=as_json)
        return
    path = "/v1/backups/control" if name is None else f"/v1/tenants/{path_part(name)}/backups"
    found = desk.client.document(path)["items"]
    if as_json:
        show.document(found)
        return
    rows = [
        (
            each["id"],
            each["taken_at"][:19],
            show.ago(each["confirmed_at"]),
            _state(each),
            show.ago(each["proven_at"]),
            show.size(each["bytes"]),
            f"{each['frozen_ms']} ms",
            ", ".join(f"{target} (DAMAGED)" if target in each["damage"] else target for target in each["targets"]),
            each["origin"],
        )
        for each in found
    ]
    heads = ("SNAPSHOT", "TAKEN (UTC)", "AS OF", "STATE", "PROVEN", "SIZE", "FROZEN", "AT", "WHY")
    show.table(heads, rows, empty=f"There are no snapshots of {name or 'the database'}.")


def _state(snapshot: dict[str, Any]) -> str:
    if snapshot["good"]:
        broken = ", ".join(snapshot["broken_databases"])
        return f"good, with broken databases: {broken}" if broken else "good"
    return "DAMAGED" if snapshot["damaged"] or snapshot["damage"] else "not verified"


@app.command("show")
def look(ctx: typer.Context, name: TenantArgument, snapshot: SnapshotArgument, as_json: Json = False) -> None:
    """Show all that is known of a snapshot."""
    desk: Desk = ctx.obj
    found = desk.client.document(f"/v1/tenants/{path_part(name)}/backups/{path_part(snapshot)}")
    if as_json:
        show.document(found)
        return
    told = {
        key: "; ".join(f"{of}: {says}" for of, says in found[key].items()) for key in ("damage", "broken_databases")
    }
    shown = {**found, **told, "targets": ", ".join(found["targets"])}
    show.facts([(key.replace("_", " "), value) for key, value in shown.items()])


@app.command()
def verify(
    ctx: typer.Context,
    name: TenantArgument,
    snapshot: Annotated[
        str | None, typer.Argument(metavar="[SNAPSHOT]", help="Its id; the newest one unless you say another.")
    ] = None,
    whole: Annotated[bool, typer.Option("--whole", help="Read every byte, not only a thirtieth.")] = False,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Look whether all of a snapshot is there, at every target, and read a part of the data again."""
    desk: Desk = ctx.obj
    if snapshot is None:
        found = desk.client.document(f"/v1/tenants/{path_part(name)}/backups")["items"]
        if not found:
            raise failed("snapshot_missing", f"There are no snapshots of {name}.", "Take one: innkeeper backup create.")
        snapshot = found[0]["id"]
    path = f"/v1/tenants/{path_part(name)}/backups/{path_part(snapshot or '')}/verify"
    _begin(desk.client, [path], body={"whole": whole}, wait=wait, as_json=as_json)


@app.command()
def repair(
    ctx: typer.Context,
    name: MaybeTenant = None,
    control: Control = False,
    target: Annotated[str | None, typer.Option(help="`local` or `remote`; every target unless you say.")] = None,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Mend what was damaged where a tenant's snapshots lie; a backup that meets damage does it by itself.

    All is read. Files that aren't as they were written are put aside, never removed, and what another target has whole
    is copied back. It says which snapshots have lost something.
    """
    desk: Desk = ctx.obj
    if (name is None) is not control:
        raise wrong_usage("Either a name or --control.")
    path = "/v1/backups/control/repair" if name is None else f"/v1/tenants/{path_part(name)}/backups/repair"
    _begin(desk.client, [path], body={"target": target}, wait=wait, as_json=as_json)


@app.command()
def prune(
    ctx: typer.Context, name: MaybeTenant = None, everybody: All = False, wait: Wait = True, as_json: Json = False
) -> None:
    """Drop the snapshots that needn't be kept any more, and tidy up; it is done by itself after each backup."""
    desk: Desk = ctx.obj
    if (name is None) is not everybody:
        raise wrong_usage("Either a name or --all.")
    if name is not None:
        _begin(desk.client, [f"/v1/tenants/{path_part(name)}/backups/prune"], wait=wait, as_json=as_json)
        return
    begun = desk.client.send("POST", "/v1/backups/prune", patient=True)["operations"]
    _tell(desk.client, begun, wait=wait, as_json=as_json)


@app.command("restore-control")
def restore_control(
    ctx: typer.Context,
    snapshot: Annotated[
        str | None, typer.Argument(metavar="[SNAPSHOT]", help="Its id; the newest one unless you say another.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="`local` or `remote`; the first that has one unless you say.")
    ] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Put the control plane's database back from a snapshot, on this host and while no control plane runs.

    It takes the keyring and the settings of the targets; credentials come from the environment, for the vault is in the
    database. What was there is kept aside; PostgreSQL has to be empty.
    """
    from innkeeper.safekeeping import put_control_back
    from innkeeper.serve import running_pid

    desk: Desk = ctx.obj
    if (pid := running_pid(desk.settings)) is not None:
        raise failed("still_running", f"The control plane runs (process {pid}).", "Stop it: innkeeper serve --down.")
    show.confirm("Put the database back from a snapshot?", yes=yes)
    done = put_control_back(desk.settings, snapshot=snapshot, target=target)
    if as_json:
        show.document(done)
        return
    show.line(f"{done['place']} is as it was at {done['taken_at']}, from {done['snapshot']} at {done['target']}")
    show.aside(
        "Start the control plane. What was created since isn't known to it; `tenant create --adopt` takes folders."
    )


def _paths(client: Client, name: str | None, *, everybody: bool, control: bool) -> list[str]:
    if sum((name is not None, everybody, control)) != 1:
        raise wrong_usage("Say one of a name, --all and --control.")
    if name is not None:
        return [f"/v1/tenants/{path_part(name)}/backups"]
    names = [each["name"] for each in client.items("/v1/tenants")] if everybody else []
    return ["/v1/backups/control", *(f"/v1/tenants/{path_part(each)}/backups" for each in names)]


def _begin(client: Client, paths: list[str], *, wait: bool, as_json: bool, body: object = None) -> None:
    begun = [client.send("POST", path, body=body) for path in paths]
    _tell(client, begun, wait=wait, as_json=as_json)


def _tell(client: Client, begun: list[dict[str, Any]], *, wait: bool, as_json: bool) -> None:
    """Each operation, at its end with `wait`; Stop where one of them failed."""
    done = [ended(client, each) if wait else each for each in begun]
    if as_json:
        show.document(done[0] if len(done) == 1 else done)
    else:
        for each in done:
            show.line(_says(each))
    wrong = [each for each in done if each["status"] == "failed"]
    if len(done) == 1 and wrong:
        raise Stop(wrong[0]["error"], ExitCode.FAILED, told=as_json)
    wrong = [each for each in wrong if each["error"]["code"] != "nothing_to_save"]
    if wrong:
        names = ", ".join(each["tenant"] or "the database" for each in wrong)
        raise failed("backup_failed", f"{len(wrong)} of {len(done)} failed: {names}.", "See `innkeeper backup list`.")


def _says(operation: dict[str, Any]) -> str:
    whose, result = operation["tenant"] or "the database", operation["result"] or {}
    if operation["status"] == "failed":
        return f"{whose}: {operation['error']['code']}: {operation['error']['detail']}"
    if operation["status"] != "done":
        return f"{whose}: {operation['id']} is {operation['status']}"
    if "way" not in result:
        return f"{whose}: {_counted(result)}"
    if result["way"] == "unchanged":
        return f"{whose}: unchanged since {result['taken_at'][:19]}, so {result['snapshot']} still holds"
    frozen = f", frozen for {result['frozen_ms']} ms" if result["consented"] is not None else ""
    broken = result.get("broken_databases")
    size = f"{show.size(result['bytes_added'])} new of {show.size(result['bytes'])}"
    return f"{whose}: {result['snapshot']} at {', '.join(result['targets'])}: {size}{frozen}" + (
        f", with broken databases: {', '.join(broken)}" if broken else ""
    )


def _counted(result: dict[str, Any]) -> str:
    if "damaged" in result:
        return _repaired(result)
    if "dropped" in result:
        return f"{result['dropped']} snapshots dropped"
    return f"verified{' whole' if result.get('whole') else ''}: {', '.join(result.get('verified', ())) or 'nothing'}"


def _repaired(result: dict[str, Any]) -> str:
    said = [
        f"{target} {'begun anew' if did['anew'] else 'mended'}, {did['aside']} files put aside"
        for target, did in result["repaired"].items()
    ]
    lost = ", ".join(f"{snapshot} at {' and '.join(places)}" for snapshot, places in result["damaged"].items())
    return (
        f"{'; '.join(said)}; {len(result['whole'])} snapshots are good, {'damaged: ' + lost if lost else 'none lost'}"
    )


def _times(failures: int) -> str:
    return "once" if failures == 1 else f"{failures} times"


def _list_all(client: Client, *, as_json: bool) -> None:
    page = client.document("/v1/backups", {"limit": 1})
    found = [page["control"], *client.items("/v1/backups")]
    if as_json:
        show.document(found)
        return
    if not page["targets"]:
        show.aside("Backups are off: set INNKEEPER_BACKUP_LOCAL or INNKEEPER_BACKUP_REMOTE.")
    rows = [
        (
            each["tenant"] or "(the database)",
            show.ago(each["last_good"]),
            *(show.ago(each["good"].get(target)) for target in page["targets"]),
            show.ago(each["proven_at"]) if each["tenant"] else None,
            "LATE" if each["late"] else (each["next_due"] or "never")[:16].replace("T", " "),
            f"{each['error']['code']}, {_times(each['failures'])}" if each["error"] else None,
        )
        for each in found
    ]
    heads = ("TENANT", "AGE", *(target.upper() for target in page["targets"]), "PROVEN", "NEXT (UTC)", "FAILING")
    show.table(heads, rows, empty="There is nobody to back up.")
