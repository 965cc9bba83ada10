"""`innkeeper audit`: who changed what, whether that is still what was written, and a copy of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.exits import failed, wrong_usage
from innkeeper.cli.options import Json

app = typer.Typer(no_args_is_help=True, help="The audit trail.")

TenantOption = Annotated[str | None, typer.Option("--tenant", help="Only what concerns this tenant.")]
ActorOption = Annotated[str | None, typer.Option("--actor", help="Only what they did, by their id.")]
KindOption = Annotated[str | None, typer.Option("--kind", help="Only of that sort of credential: user, token, key …")]
ActionOption = Annotated[str | None, typer.Option("--action", help="`tenant.create`; `tenant.` for all such.")]
RequestOption = Annotated[str | None, typer.Option("--request", help="Only of the request with this id.")]
SinceOption = Annotated[str | None, typer.Option("--since", help="Nothing older: a time as RFC 3339.")]
UntilOption = Annotated[str | None, typer.Option("--until", help="Nothing from that moment on.")]


@app.command("list")
def index(
    ctx: typer.Context,
    tenant: TenantOption = None,
    actor: ActorOption = None,
    kind: KindOption = None,
    action: ActionOption = None,
    request: RequestOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    last: Annotated[int, typer.Option(min=1, help="How many of the latest.")] = 50,
    reverse: Annotated[bool, typer.Option("--reverse", help="The newest first.")] = False,
    as_json: Json = False,
) -> None:
    """List the latest entries of the trail, the oldest of them first."""
    desk: Desk = ctx.obj
    asked: dict[str, Any] = {"tenant": tenant, "actor": actor, "kind": kind, "action": action, "request": request,
                             "since": since, "until": until, "order": "newest", "limit": min(last, 500)}  # fmt: skip
    found = list(islice(desk.client.items("/v1/audit", asked), last))
    if not reverse:
        found.reverse()
    if as_json:
        show.document(found)
        return
    rows = [
        (each["number"], each["at"], each["actor"], each["action"], each["tenant"], each["address"], _told(each))
        for each in found
    ]
    show.table(("NO", "AT", "ACTOR", "ACTION", "TENANT", "FROM", "DETAIL"), rows, empty="The trail is empty.")


def _told(entry: dict[str, Any]) -> str:
    """What was asked for, and what changed by it."""
    said = [f"{name}={value}" for name, value in entry["detail"].items()]
    before, after = entry["before"] or {}, entry["after"] or {}
    names = [name for name in {**before, **after} if name not in entry["detail"]]
    if before and after:
        return " ".join([*said, *(f"{name}: {before.get(name)} → {after.get(name)}" for name in names)])
    whole = before or after  # what was made, or is gone: as far as it fits into a line
    plain = [name for name in names if whole[name] and not isinstance(whole[name], dict | list)]
    return " ".join([*said, *(f"{name}={whole[name]}" for name in plain)])


@app.command()
def verify(
    ctx: typer.Context,
    head: Annotated[str | None, typer.Option(help="A head that was noted earlier: is it part of the trail?")] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Look into the database itself; no control plane need run.")
    ] = False,
    file: Annotated[
        Path | None, typer.Option(help="Check an export instead, with the keyring of the data directory.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check that every line of the trail is as it was written, and that none is missing; 1 where it isn't so."""
    desk: Desk = ctx.obj
    if file is not None and (head is not None or offline):
        raise wrong_usage("--file stands alone.")
    with show.progress() as tell:
        verdict = _checked_file(desk, file) if file else _checked(desk, head, offline=offline, tell=tell)
    if as_json:
        show.document(verdict)
    else:
        _show_verdict(verdict)
    if not verdict["ok"]:
        raise typer.Exit(1)


def _checked(desk: Desk, head: str | None, *, offline: bool, tell: Any) -> dict[str, Any]:
    if offline:
        from innkeeper.archive import check_offline

        return check_offline(desk.settings, head, tell=lambda done, of: tell(f"{done} of {of}"))
    for event, data in desk.client.events("POST", "/v1/audit/verify", body={"head": head}):
        if event == "progress":
            tell(f"{data['done']} of {data['of']}")
        elif event == "verdict":
            return data
    raise failed("broke_off", "The check broke off.", "Run it again.")


def _checked_file(desk: Desk, file: Path) -> dict[str, Any]:
    from innkeeper.archive import check_file

    try:
        with file.open(encoding="utf-8", errors="surrogateescape") as lines:
            return check_file(desk.settings, _parsed(lines))
    except OSError as error:
        raise wrong_usage(f"{file} can't be read: {error.strerror}.") from None


def _parsed(lines: Any) -> Iterator[Any]:
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            yield None


def _show_verdict(verdict: dict[str, Any]) -> None:
    for fault in verdict["faults"]:
        where = "" if fault["number"] is None else f"number {fault['number']}: "
        show.line(f"{where}{fault['says']} ({fault['kind']})")
    if verdict["more"]:
        show.line("There may be more.")
    if not verdict["ok"]:
        return
    if verdict["last"] is None:
        show.line("The trail is empty.")
        return
    show.line(f"{verdict['rows']} lines, number {verdict['first']} to {verdict['last']}, are as they were written.")
    if verdict.get("gaps"):
        show.line(f"Lines between them are left out in {verdict['gaps']} places.")
    if verdict.get("began"):
        show.line(f"Those up to number {verdict['began']} are from before there was a chain.")
    if verdict.get("head_is_cut"):
        show.aside("That head is from before what retention took off: nothing can be told of it.")
    if verdict.get("head"):
        show.line(f"Head: {verdict['head']}")


@app.command()
def export(
    ctx: typer.Context,
    output: Annotated[Path | None, typer.Option(help="Where to; standard output if left out.")] = None,
    tenant: TenantOption = None,
    actor: ActorOption = None,
    kind: KindOption = None,
    action: ActionOption = None,
    request: RequestOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    as_json: Json = False,
) -> None:
    """Take a copy of the trail as JSON lines, which `innkeeper audit verify --file` can check."""
    desk: Desk = ctx.obj
    asked: dict[str, Any] = {"tenant": tenant, "actor": actor, "kind": kind, "action": action, "request": request,
                             "since": since, "until": until}  # fmt: skip
    size = desk.client.download("/v1/audit/export", asked, to=output)
    if output is None:
        return  # it is JSON already
    if as_json:
        show.document({"file": str(output), "bytes": size})
    else:
        show.line(f"{output} ({size} bytes)")
