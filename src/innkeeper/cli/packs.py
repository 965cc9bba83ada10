"""`innkeeper pack add|list|delete`: core content for tenants."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.options import Json, Yes
from innkeeper.cli.paths import path_part

_PIECE = 1 << 20

app = typer.Typer(no_args_is_help=True, help="Packs: core content such as SOPs, identity and knowledge, in versions.")


@app.command()
def add(
    ctx: typer.Context,
    source: Annotated[
        Path, typer.Argument(metavar="FOLDER|TARBALL", help="A folder with a pack.toml, or a tarball of one.")
    ],
    as_json: Json = False,
) -> None:
    """Add a version of a pack. Tenants that get the pack's newest are delivered it at their next start."""
    from innkeeper.cli.pack_tarball import tarball

    desk: Desk = ctx.obj
    with tarball(source) as file:
        pieces = iter(lambda: file.read(_PIECE), b"")
        pack = desk.client.upload("POST", "/v1/packs", pieces, kind="application/octet-stream")
    if as_json:
        show.document(pack)
    else:
        show.line(f"{pack['name']} {pack['version']}: {pack['files']} files, {show.size(pack['size'])}")


@app.command("list")
def index(ctx: typer.Context, as_json: Json = False) -> None:
    """List the packs, each with its newest version first."""
    desk: Desk = ctx.obj
    found = list(desk.client.items("/v1/packs"))
    if as_json:
        show.document(found)
        return
    rows = [
        (
            each["name"],
            each["version"],
            each["title"],
            str(each["files"]),
            show.size(each["size"]),
            each["added_at"],
        )
        for each in found
    ]
    hint = "There are no packs yet. Add one: innkeeper pack add FOLDER"
    show.table(("NAME", "VERSION", "TITLE", "FILES", "SIZE", "ADDED"), rows, empty=hint)


@app.command()
def delete(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="PACK", help="The pack's name.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="Its version.")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Delete a version that no tenant, plan or agent is to have. What tenants were delivered of it stays theirs."""
    desk: Desk = ctx.obj
    show.confirm(f"Delete {name} {version}?", yes=yes)
    desk.client.send("DELETE", f"/v1/packs/{path_part(name)}/{path_part(version)}")
    if as_json:
        show.document({"name": name, "version": version, "deleted": True})
    else:
        show.line(f"{name} {version} is deleted")
