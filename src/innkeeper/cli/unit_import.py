"""`innkeeper unit import`: an export, or what another system has on this host, becomes a tenant."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from innkeeper.cli import show
from innkeeper.cli.age_file import plain_pieces
from innkeeper.cli.desk import Desk
from innkeeper.cli.exits import ExitCode, Stop, wrong_usage
from innkeeper.cli.operate import ended
from innkeeper.cli.options import Json, Wait, Yes

MB = 1 << 20
_TAR = "application/x-tar"
_ROUTE = "/v1/units/import"


class From(StrEnum):
    """Whose layout it is."""

    MARCOBY = "marcoby"
    OCMT = "ocmt"
    ZEPTOCLAW = "zeptoclaw"
    STARTCLAW = "startclaw"
    WORKFORCE = "workforce"


def take_in(
    ctx: typer.Context,
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="An export of ours; with --from a path on the control plane's host.")
    ],
    seed: Annotated[From | None, typer.Option("--from", help="Whose layout it is, if it is no export of ours.")] = None,
    name: Annotated[str | None, typer.Option("--as", metavar="NAME", help="The tenant's name.")] = None,
    agent: Annotated[str | None, typer.Option(help="What it is to run, if not the system's own agent.")] = None,
    release: Annotated[str | None, typer.Option(help="Version of the agent.")] = None,
    volumes: Annotated[
        Path | None,
        typer.Option(help="ZeptoClaw's volumes or their backups, if not where Docker has them."),
    ] = None,
    only: Annotated[str | None, typer.Option(metavar="KEY", help="Of several units the one called so.")] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Take what is there of a half copied unit.")] = False,
    leave_out: Annotated[
        bool, typer.Option("--leave-out", help="Go without a compose file's other services and mounts.")
    ] = False,
    channels_on: Annotated[
        bool, typer.Option("--channels-on", help="Start with its channels on: nobody else serves them any more.")
    ] = False,
    identity: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The age identity or SSH key that opens an encrypted export.")
    ] = None,
    passphrase: Annotated[
        str | None,
        typer.Option(
            "--passphrase-file", metavar="FILE", help="Its passphrase, from this file; `-`: from stdin, or typed."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would become of what.")] = False,
    yes: Yes = False,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Take a unit in: an export of another host's Innkeeper, or with --from another system's own layout.

    Nothing of the source is changed. Channels stay off until `innkeeper tenant confirm`, for the source may still run.
    """
    desk: Desk = ctx.obj
    asked = {"as": name, "release": release, "partial": partial, "channels_on": channels_on}
    if seed is None:
        if agent or volumes or only or leave_out:
            raise wrong_usage("--agent, --volumes, --only and --leave-out go with --from.")
        _tell(desk, _sent(desk, path, identity, passphrase, {**asked, "dry_run": dry_run}), wait=wait, as_json=as_json)
        return
    if identity is not None or passphrase is not None:
        raise wrong_usage("--identity and --passphrase-file are for exports of ours.")
    body = {
        **asked,
        "from": seed.value,
        "path": str(path.absolute()),
        "agent": agent,
        "volumes": None if volumes is None else str(volumes.absolute()),
        "only": only,
        "leave_out": leave_out,
    }
    if dry_run or not (yes or as_json):
        plans = desk.client.send("POST", _ROUTE, body={**body, "dry_run": True}, patient=True)
        if dry_run:
            _tell(desk, plans, wait=wait, as_json=as_json)
            return
        _show(plans["units"])
        if all(not each["refusals"] for each in plans["units"]):
            show.confirm(f"Import {', '.join(each['name'] for each in plans['units'])}?", yes=yes)
    _tell(desk, desk.client.send("POST", _ROUTE, body=body, patient=True), wait=wait, as_json=as_json)


def _sent(
    desk: Desk, path: Path, identity: Path | None, passphrase: str | None, params: dict[str, Any]
) -> dict[str, Any]:
    with plain_pieces(path, identity=identity, passphrase=passphrase) as pieces:
        return desk.client.upload("PUT", _ROUTE, pieces, kind=_TAR, params=params)


def _tell(desk: Desk, answer: dict[str, Any], *, wait: bool, as_json: bool) -> None:
    if answer["units"]:
        if as_json:
            show.document(answer)
        else:
            _show(answer["units"])
        if refused := [each for each in answer["units"] if each["refusals"]]:
            detail = f"{len(refused)} of {len(answer['units'])} can't be imported as they stand."
            raise Stop({"code": "import_refused", "detail": detail, "hint": None}, ExitCode.REFUSED, told=as_json)
        return
    operations = [ended(desk.client, each) if wait else each for each in answer["operations"]]
    begun = [each["result"]["provision"] for each in operations if each["status"] == "done"]
    starts = [ended(desk.client, desk.client.document(f"/v1/operations/{each}")) for each in begun]
    if as_json:
        show.document({"operations": operations, "starts": starts})
    for each in operations:
        if not as_json:
            _outcome(each)
    if failed := next((each for each in (*operations, *starts) if each["status"] == "failed"), None):
        raise Stop(failed["error"], ExitCode.FAILED, told=as_json)


def _outcome(operation: dict[str, Any]) -> None:
    name, result = operation["tenant"], operation["result"]
    if operation["status"] != "done" or result is None:
        show.line(f"{name}: import is {operation['status']} as {operation['id']}")
        return
    secrets = f", {len(result['secrets'])} secrets in the vault" if result["secrets"] else ""
    show.line(f"{name} is here: {result['files']} files, {max(1, result['bytes'] >> 20)} MB{secrets}")
    for note in result["notes"]:
        show.aside(f"· {note}")
    if result["changed"]:
        show.aside(f"Changed while it was read: {', '.join(result['changed'][:5])}. Stop the source, and import again.")
    if result["fenced"]:
        show.aside(f"Its channels are off. When the source is: innkeeper tenant confirm {name}")


def _show(plans: list[dict[str, Any]]) -> None:
    for plan in plans:
        show.line(f"{plan['key']} becomes {plan['name'] or '?'} ({plan['agent']} {plan['release'] or ''})".rstrip())
        rows = [
            (
                each["source"] or ".",
                _place(each["target"]),
                each["files"],
                f"{each['bytes'] / (1 << 20):.1f}",
                each["why"],
            )
            for each in plan["moves"]
        ]
        show.table(("FROM", "TO", "FILES", "MB", "WHY"), rows, empty="No files.")
        values = [
            (each["name"], each["source"], f"{each['becomes']} {each['target']}".rstrip(), each["why"])
            for each in plan["values"]
        ]
        show.table(("VALUE", "FROM", "BECOMES", "WHY"), values, empty="No variables or keys.")
        for note in plan["notes"]:
            show.aside(f"· {note}")
        for refusal in plan["refusals"]:
            show.line(f"✗ {refusal}")


def _place(target: str | None) -> str:
    return "stays behind" if target is None else f"persistence/{target}"
