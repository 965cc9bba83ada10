"""`innkeeper unit export`: a tenant's unit as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.exits import wrong_usage
from innkeeper.cli.handed_out import PassphraseFile, Recipients, fetched, lock_of, made
from innkeeper.cli.options import Json, TenantArgument
from innkeeper.cli.paths import path_part


def export(
    ctx: typer.Context,
    name: TenantArgument,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to; `-`: standard output. Otherwise NAME-TIME.tar."),
    ] = None,
    recipients: Recipients = None,
    passphrase: PassphraseFile = None,
    with_secrets: Annotated[
        bool, typer.Option("--with-secrets", help="With the tenant's secrets, in the clear unless encrypted.")
    ] = False,
    with_image: Annotated[
        bool, typer.Option("--with-image", help="With the image, to run where that can't be had.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a tenant's folder to one tar, which runs anywhere by `docker compose up -d`; the tenant lives on."""
    desk: Desk = ctx.obj
    to_stdout = output is not None and str(output) == "-"
    if to_stdout and as_json:
        raise wrong_usage("--json and `--output -` both want standard output.")
    path = f"/v1/tenants/{path_part(name)}/exports"
    body = {"with_secrets": with_secrets, "with_image": with_image, **lock_of(recipients, passphrase)}
    operation, result = made(desk, path, body)
    file = None if to_stdout else output or Path(result["file"])
    fetched(desk, path, operation, to=file)
    if as_json:
        show.document({**result, "file": str(file), "operation": operation})
        return
    _tell(name, file, result)


def _tell(name: str, file: Path | None, result: dict[str, Any]) -> None:
    size_mb = max(1, result["bytes"] >> 20)
    frozen = "" if result["frozen_s"] is None else f", frozen for {result['frozen_s']:.2g} s"
    said = f"{name} is in {file or 'what was written'}: {result['files']} files, {size_mb} MB{frozen}"
    show.aside(said) if file is None else show.line(said)
    if not result["consented"]:
        show.aside("It was frozen in the middle of its work: it didn't come to rest in time.")
    for path, why in result["left_out"].items():
        show.aside(f"Left out: {path!r}: {why}")
    if (more := result["left_out_count"] - len(result["left_out"])) > 0:
        show.aside(f"Left out: {more} more; innkeeper.json in it names them.")
    if result["with_secrets"] and not result["encrypted"]:
        show.aside("Its secrets are in it in the clear: whoever has the file has them.")
    if not result["with_image"]:
        show.aside("Where the image can't be had, it takes one with --with-image.")
