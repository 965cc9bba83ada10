"""`innkeeper receipt list|show|verify|key`: what was erased, and whether a receipt of it holds."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.exits import failed, wrong_usage
from innkeeper.cli.options import Json
from innkeeper.cli.paths import path_part

app = typer.Typer(no_args_is_help=True, help="Receipts of erasures: what was erased, signed.")

_LARGEST = 16 << 20
_PARTS = ("statement", "signature", "supplements")


@app.command("list")
def index(
    ctx: typer.Context,
    tenant: Annotated[str | None, typer.Option(help="Only of tenants that had this name.")] = None,
    as_json: Json = False,
) -> None:
    """List the receipts, the oldest first."""
    desk: Desk = ctx.obj
    found = list(desk.client.items("/v1/receipts", {"tenant": tenant}))
    if as_json:
        show.document(found)
        return
    rows = [
        (each["id"], each["tenant"], each["issued_at"], each["asked_by"], ", ".join(each["pending"]) or "nothing")
        for each in found
    ]
    show.table(("ID", "TENANT", "ISSUED", "ASKED BY", "STILL TO GO"), rows, empty="Nobody was erased yet.")


@app.command("show")
def look(
    ctx: typer.Context,
    receipt_id: Annotated[str, typer.Argument(metavar="ID", help="The receipt's id.")],
    output: Annotated[Path | None, typer.Option(help="Write it to this file, to be kept or handed out.")] = None,
    as_json: Json = False,
) -> None:
    """Show what was erased, what was kept and why."""
    desk: Desk = ctx.obj
    found = desk.client.document(f"/v1/receipts/{path_part(receipt_id)}")
    if output is not None:
        write_receipt(found, output)
    if as_json:
        show.document(found)
    else:
        _tell(found)


@app.command()
def key(ctx: typer.Context, as_json: Json = False) -> None:
    """Print the public key that receipts are checked with; keep it beside them."""
    desk: Desk = ctx.obj
    found = desk.client.document("/v1/receipts/key")
    if as_json:
        show.document(found)
    else:
        show.line(found["public_key"].rstrip("\n"))


@app.command()
def verify(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A receipt; `-`: from stdin.")],
    public_key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="The public key in PEM; else that of this host's keyring."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check that a receipt is as it was signed; 1 where it isn't. No control plane need run."""
    from innkeeper.erasing import check_receipt

    desk: Desk = ctx.obj
    pem = None if public_key is None else _text(public_key)
    try:
        document = json.loads(_text(file))
    except (ValueError, RecursionError):
        raise wrong_usage(f"{file} isn't JSON.") from None
    verdict = check_receipt(desk.settings, document, public_key=pem)
    if as_json:
        show.document(verdict)
    elif verdict["ok"]:
        show.line(f"{verdict['id']} of {verdict['tenant']} is as it was signed with {verdict['key']}")
    else:
        for fault in verdict["faults"]:
            show.line(fault)
    if not verdict["ok"]:
        raise typer.Exit(1)


def write_receipt(document: dict[str, Any], to: Path) -> None:
    """Write what is signed to a file."""
    try:
        to.write_text(json.dumps({name: document[name] for name in _PARTS}, ensure_ascii=False, indent=2) + "\n")
    except OSError as error:
        raise failed("unwritable", f"{to} can't be written: {error.strerror}.") from error


def _text(path: Path) -> str:
    try:
        with nullcontext(sys.stdin) if str(path) == "-" else path.open(encoding="utf-8") as file:
            text = file.read(_LARGEST + 1)
    except OSError as error:
        raise wrong_usage(f"{path} can't be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise wrong_usage(f"{path} isn't text in UTF-8.") from None
    if len(text) > _LARGEST:
        raise wrong_usage(f"{path} is too large for a receipt.")
    return text


def _tell(found: dict[str, Any]) -> None:
    says = found["statement"]
    erased, by = says["erased"], says["asked"]["by"] or {}
    unit, rows = erased["unit"], erased["rows"]
    show.facts(
        [
            ("id", says["id"]),
            ("tenant", f"{says['tenant']['name']} ({says['tenant']['id']})"),
            ("asked by", f"{by.get('name') or by.get('id')} at {says['asked']['at']}" if by else None),
            ("begun", says["began_at"]),
            ("ended", says["ended_at"]),
            ("data key", f"{erased['data_key']['id']}, destroyed at {erased['data_key']['destroyed_at']}"),
            ("folder", f"{unit['files']} files in {unit['folders']} folders" if unit["exists"] else "there was none"),
            *(("snapshots", _snapshots(each)) for each in erased["snapshots"]),
            *(("at " + place, f"{each['files']} files") for place, each in erased["places"].items()),
            ("rows", ", ".join(f"{number} {kind}" for kind, number in rows.items())),
            *(
                (each["integration"], "its tokens were revoked" if each["revoked"] else "its service wasn't reached")
                for each in erased["integrations"]
            ),
            *(("kept", f"{each['what']} {each['why']}") for each in says["kept"]),
            *(
                ("since then", f"snapshots at {each['target']} are gone, at {more['statement']['at']}")
                for more in found["supplements"]
                for each in more["statement"]["erased"]["snapshots"]
            ),
            ("still to go", ", ".join(found["pending"]) or "nothing"),
            ("signed with", found["signature"]["key"]),
        ]
    )


def _snapshots(each: dict[str, Any]) -> str:
    number = "an unknown number" if each["snapshots"] is None else len(each["snapshots"])
    return f"{number} at {each['target']}, " + ("erased" if each["erased"] else f"not erased: {each['says']}")
