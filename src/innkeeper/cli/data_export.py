"""`innkeeper tenant export-data`: all that is kept of a tenant as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.exits import ExitCode, Stop, wrong_usage
from innkeeper.cli.operate import ended
from innkeeper.cli.options import Json, TenantArgument
from innkeeper.cli.paths import path_part
from innkeeper.cli.secret_value import value_from


def export_data(
    ctx: typer.Context,
    name: TenantArgument,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to; otherwise NAME-data-TIME.tar."),
    ] = None,
    recipients: Annotated[
        list[str] | None,
        typer.Option(
            "--recipient", metavar="KEY", help="Encrypt it to this age recipient or SSH public key; repeatable."
        ),
    ] = None,
    passphrase: Annotated[
        str | None,
        typer.Option(
            "--passphrase-file",
            metavar="FILE",
            help="Encrypt it with the passphrase from this file; `-`: from stdin, or typed unseen.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write all that is kept of a tenant to one tar: its files, and the rest as JSON; never a secret's value."""
    desk: Desk = ctx.obj
    if recipients and passphrase is not None:
        raise wrong_usage("It is encrypted to recipients or with a passphrase, not both.")
    words = None if passphrase is None else value_from(passphrase, asking="Passphrase")
    path = f"/v1/tenants/{path_part(name)}/data-exports"
    body = {"recipients": recipients or [], "passphrase": words}
    operation = ended(desk.client, desk.client.send("POST", path, body=body))
    if operation["status"] == "failed":
        raise Stop(operation["error"], ExitCode.FAILED)
    result: dict[str, Any] = operation["result"]
    file = output or Path(result["file"])
    desk.client.download(f"{path}/{operation['id']}", to=file)
    desk.client.send("DELETE", f"{path}/{operation['id']}")
    if as_json:
        show.document({**result, "file": str(file), "operation": operation["id"]})
        return
    show.line(f"All that is kept of {name} is in {file}: {result['files']} files, and what README.txt in it names")
    for left_out, why in result["left_out"].items():
        show.aside(f"Left out: {left_out!r}: {why}")
