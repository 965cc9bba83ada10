"""`innkeeper restore` and `innkeeper tenant confirm`: tenants brought back from their snapshots."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.exits import ExitCode, Stop, failed, wrong_usage
from innkeeper.cli.operate import ended, operate
from innkeeper.cli.options import Json, TenantArgument, Wait, Yes
from innkeeper.cli.paths import path_part
from innkeeper.cli.restored_files import take_out
from innkeeper.core.path_spelling import spelt

_SPAN = re.compile(r"([1-9][0-9]{0,5})([mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def restore(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The tenant's name, also of a lost one.")] = None,
    snapshot: Annotated[
        str | None,
        typer.Option(metavar="ID", help="This snapshot, or how its id begins, or `latest`; see `backup list`."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="The newest that was taken by then: `2026-11-20`, `2026-11-20T03:00` in UTC, `30m` or `3d` ago.",
        ),
    ] = None,
    as_name: Annotated[
        str | None, typer.Option("--as", metavar="NEW", help="Make another tenant of it, with its channels off.")
    ] = None,
    paths: Annotated[
        list[str] | None,
        typer.Option("--path", metavar="PATH", help="Only this of its data, into a new folder; repeatable."),
    ] = None,
    into: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="That folder, in its data; otherwise `workspace/restored-TIME`."),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|FOLDER|-",
            help="With --path: to here instead, as a tar, into a new folder (`out/`), or to standard output.",
        ),
    ] = None,
    tenant_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Which one, where several lost tenants had the name.")
    ] = None,
    channels_on: Annotated[
        bool, typer.Option("--channels-on", help="Of a lost or another tenant: no other instance serves its channels.")
    ] = False,
    with_secrets: Annotated[
        bool,
        typer.Option(
            "--secrets", help="Secrets that are there get the value that they had then, too; with --to they stay in it."
        ),
    ] = False,
    without_safety: Annotated[
        bool, typer.Option("--without-safety", help="Take no snapshot of the present state first.")
    ] = False,
    everybody: Annotated[bool, typer.Option("--all", help="Everybody who is lost: this host is a new one.")] = False,
    only_list: Annotated[bool, typer.Option("--list", help="List the lost tenants that could be restored.")] = False,
    yes: Yes = False,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Restore a tenant from a snapshot: in place, as another, single paths of it, or one that this host has lost."""
    desk: Desk = ctx.obj
    if (name is None) is not (everybody or only_list):
        raise wrong_usage("It takes a NAME, or one of --all and --list.")
    if only_list:
        _list(desk, as_json=as_json)
        return
    if everybody:
        _all(desk, channels_on=channels_on, yes=yes, as_json=as_json)
        return
    if to is not None:
        if not paths or into is not None or as_name is not None:
            raise wrong_usage("--to takes --path, and neither --into nor --as.")
        wanted = {"snapshot": snapshot, "at": _moment(at), **spelt(paths), "with_secrets": with_secrets}
        take_out(desk, name or "", wanted, to, as_json=as_json)
        return
    body = {
        "snapshot": snapshot,
        "at": _moment(at),
        "as": as_name,
        **(spelt(paths) if paths else {}),
        "into": into,
        "id": tenant_id,
        "channels": channels_on,
        "secrets": with_secrets,
        "safety": not without_safety,
    }
    if as_name is None and not paths:
        show.confirm(f"Replace what {name} is now, if it is here, by its snapshot?", yes=yes)
    path = f"/v1/tenants/{path_part(name or '')}/restore"
    operation, _ = operate(
        desk.client, "POST", path, tenant=as_name or name or "", body=body, wait=wait, as_json=as_json
    )
    if not as_json:
        _tell(operation, as_name or name or "")


def _tell(operation: dict[str, Any], name: str) -> None:
    result = operation.get("result")
    if result is None:
        show.line(f"{operation['id']}: {name} is being restored")
        return
    when = result["snapshot"]["taken_at"]
    if broken := result["snapshot"].get("broken_databases"):
        show.aside(f"Databases that were broken already when that was taken: {', '.join(broken)}")
    if "into" in result:
        show.line(f"What was asked for is in {result['into']}, as of {when}")
        return
    show.line(f"{name} is restored as of {when}")
    if result.get("safety"):
        show.aside(f"The state before is the snapshot {result['safety']}.")
    if result.get("fenced"):
        show.aside(f"Its channels are off. When no other instance serves them: `innkeeper tenant confirm {name}`.")
    for field, says in _TOLD.items():
        if result.get(field):
            show.aside(f"{says}: {', '.join(result[field])}")


_TOLD = {
    "secrets_put_back": "Secrets that came back",
    "secrets_unreadable": "Secrets that can't be opened and didn't come back",
    "hostnames_taken": "Hostnames that somebody else has by now",
    "connect_again": "Integrations that have to be connected again",
    "configs_kept_aside": "Configs that can't be read, kept aside",
}


def _list(desk: Desk, *, as_json: bool) -> None:
    found = _restorable(desk)
    if as_json:
        show.document(found)
        return
    rows = [(each["tenant"], each["tenant_id"], each["taken_at"], ", ".join(each["targets"])) for each in found]
    show.table(("TENANT", "ID", "NEWEST SNAPSHOT", "AT"), rows, empty="No lost tenant can be restored.")


def _restorable(desk: Desk) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = desk.client.send("GET", "/v1/restorable", patient=True)["items"]
    return found


def _all(desk: Desk, *, channels_on: bool, yes: bool, as_json: bool) -> None:
    """Each by its id; those that can't be restored don't stand in the others' way."""
    found = _restorable(desk)
    if not found and not as_json:
        show.line("No lost tenant can be restored.")
        return
    show.confirm(f"Restore {len(found)} tenants?", yes=yes)
    outcomes = []
    for number, each in enumerate(found, 1):
        show.aside(f"{each['tenant']} ({number} of {len(found)})")
        outcomes.append({**each, **_one_of_all(desk, each, channels_on=channels_on)})
    if as_json:
        show.document(outcomes)
    else:
        rows = [(each["tenant"], each["status"], each["says"] or "") for each in outcomes]
        show.table(("TENANT", "STATUS", "WHY"), rows, empty="")
    if bad := [each["tenant"] for each in outcomes if each["status"] != "done"]:
        raise Stop(
            failed("not_all_restored", f"{len(bad)} of {len(outcomes)} weren't restored.").document,
            ExitCode.FAILED,
            told=as_json,
        )


def _one_of_all(desk: Desk, each: dict[str, Any], *, channels_on: bool) -> dict[str, Any]:
    body = {"id": each["tenant_id"], "channels": channels_on}
    path = f"/v1/tenants/{path_part(each['tenant'])}/restore"
    try:
        operation = ended(desk.client, desk.client.send("POST", path, body=body, patient=True))
    except Stop as stop:
        if stop.exit_code is ExitCode.UNREACHABLE:
            raise
        return {"status": "refused", "says": stop.document.get("detail")}
    return {"status": operation["status"], "says": (operation["error"] or {}).get("detail")}


def confirm(ctx: typer.Context, name: TenantArgument, yes: Yes = False, as_json: Json = False) -> None:
    """Turn a restored or imported tenant's channels on: no other instance serves them any more."""
    desk: Desk = ctx.obj
    show.confirm(
        f"Is every other instance of {name} off? Two that poll one bot take each other's messages.",
        yes=yes,
    )
    found = desk.client.send("POST", f"/v1/tenants/{path_part(name)}/confirm")
    if as_json:
        show.document(found)
    else:
        show.line(f"{name}'s channels are on: a fresh instance is made")


def _moment(said: str | None) -> str | None:
    """The moment that is meant, as the API takes it."""
    if said is None:
        return None
    try:
        if span := _SPAN.fullmatch(said):
            return (datetime.now(UTC) - int(span[1]) * _UNITS[span[2]]).isoformat()
        moment = datetime.fromisoformat(said)
    except (ValueError, OverflowError):
        raise wrong_usage(
            f"--at: {said[:40]!r} is no time.", hint="Like 30m, 12h, 3d, 2026-11-20 or 2026-11-20T03:00Z."
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()
