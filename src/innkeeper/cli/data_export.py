"""`innkeeper tenant export-data`: all that is kept of a tenant as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.handed_out import PassphraseFile, Recipients, fetched, lock_of, made
from innkeeper.cli.options import Json, TenantArgument
from innkeeper.cli.paths import path_part


def export_data(
    ctx: typer.Context,
    name: TenantArgument,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to; otherwise NAME-data-TIME.tar."),
    ] = None,
    recipients: Recipients = None,
    passphrase: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Write all that is kept of a tenant to one tar: its files, and the rest as JSON; never a secret's value."""
    desk: Desk = ctx.obj
    path = f"/v1/tenants/{path_part(name)}/data-exports"
    operation, result = made(desk, path, lock_of(recipients, passphrase))
    file = output or Path(result["file"])
    fetched(desk, path, operation, to=file)
    if as_json:
        show.document({**result, "file": str(file), "operation": operation})
        return
    show.line(f"All that is kept of {name} is in {file}: {result['files']} files, and what README.txt in it names")
    for left_out, why in result["left_out"].items():
        show.aside(f"Left out: {left_out!r}: {why}")
