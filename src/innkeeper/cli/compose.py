"""`innkeeper compose generate`: the fleet as one compose file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.exits import failed
from innkeeper.cli.options import Json

app = typer.Typer(no_args_is_help=True, help="Compose files: tenants described for Docker Compose.")


@app.callback()
def _several() -> None:
    """Keeps `generate` a command of its own, though it is the only one."""


@app.command()
def generate(
    ctx: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="These tenants; without: all.")] = None,
    environment: Annotated[str, typer.Option(help="What the labels say: production, staging, …")] = "production",
    data: Annotated[
        str, typer.Option(metavar="unit|volume", help="Volumes that are the tenants' own folders, or Docker's own.")
    ] = "unit",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to; otherwise standard output.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print one compose file for all tenants, which runs them without Innkeeper. No secret stands in it."""
    desk: Desk = ctx.obj
    text = desk.client.text("/v1/compose", {"tenant": names or None, "environment": environment, "data": data})
    if output is not None:
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise failed("unwritable", f"{output} can't be written: {error.strerror}.") from None
    if as_json:
        show.document({"environment": environment, "data": data, "file": output and str(output), "compose": text})
    elif output is None:
        sys.stdout.write(text)
    else:
        show.line(f"{output} is written")
