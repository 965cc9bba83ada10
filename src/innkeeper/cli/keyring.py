"""`innkeeper keyring show|rotate|export|import|new`: the keys that everything else hangs on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.options import Json
from innkeeper.cli.secret_value import value_from

app = typer.Typer(no_args_is_help=True, help="The keyring: master keys, and the data keys that they wrap.")

Passphrase = Annotated[
    str | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help="The passphrase that the export is encrypted with, from this file; `-`: from stdin, or typed unseen.",
    ),
]


@app.command("show")
def facts(ctx: typer.Context, as_json: Json = False) -> None:
    """Show which keys there are, what they wrap, and which copies were taken; no key, ever."""
    desk: Desk = ctx.obj
    found = desk.client.send("GET", "/v1/keyring")
    if as_json:
        show.document(found)
        return
    show.facts(
        [
            ("from", found["where"]),
            ("data keys", found["data_keys"]),
            ("destroyed", found["destroyed"]),
            ("in no export", found["unexported"]),
        ]
    )
    rows = [(each["id"], each["created_at"], each["wraps"]) for each in found["masters"]]
    show.table(("MASTER KEY", "CREATED", "WRAPS"), rows, empty="There are no master keys.")
    copies = [
        (each["at"], each["file"], each["keys"], ", ".join(each["destroyed"]) or "none") for each in found["exports"]
    ]
    show.table(
        ("EXPORTED", "TO", "KEYS", "DESTROYED SINCE"), copies, empty="Never exported: see `innkeeper keyring export`."
    )


@app.command()
def rotate(ctx: typer.Context, as_json: Json = False) -> None:
    """Add a master key and wrap every data key by it, while all is in use; or finish a rotation that was cut short."""
    desk: Desk = ctx.obj
    done = desk.client.send("POST", "/v1/keyring/rotate", patient=True)
    if as_json:
        show.document(done)
        return
    show.line(f"{done['newest']} wraps from now on; {done['rewrapped']} data keys were wrapped anew")
    show.aside(done["says"])


@app.command()
def export(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; it must not be there yet.")],
    passphrase: Passphrase = None,
    as_json: Json = False,
) -> None:
    """Write a copy of all keys on this host, to be kept offline. It opens every secret, also those destroyed later."""
    from innkeeper.strongroom import export_keyring

    desk: Desk = ctx.obj
    words = None if passphrase is None else value_from(passphrase, asking="Passphrase")
    keys = export_keyring(desk.settings, file, words)
    if as_json:
        show.document({"file": str(file), "keys": keys, "encrypted": words is not None})
        return
    show.line(f"{file} holds the keyring and {keys} data keys")
    show.aside("Take it off this host. Whoever has it has every secret; destroy it when a tenant has to be forgotten.")


@app.command("import")
def put_back(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An export.")],
    passphrase: Passphrase = None,
    as_json: Json = False,
) -> None:
    """Put back what is missing of an export; nothing that is there is changed, and nothing destroyed returns."""
    from innkeeper.strongroom import import_keyring

    desk: Desk = ctx.obj
    words = None if passphrase is None else value_from(passphrase, asking="Passphrase")
    done = import_keyring(desk.settings, file, words)
    if as_json:
        show.document(done)
        return
    said = "The keyring is back" if done["masters"] else "The keyring was there"
    show.line(f"{said}; {done['keys']} data keys came back, {done['left']} were there or are destroyed")


@app.command()
def new(as_json: Json = False) -> None:
    """Print a fresh keyring, for INNKEEPER_MASTER_KEY or whatever INNKEEPER_MASTER_KEY_COMMAND reads it from."""
    from innkeeper.strongroom import new_keyring

    if as_json:
        show.document(new_keyring())
    else:
        show.line(json.dumps(new_keyring()))  # one line, as variables and secret managers like it
