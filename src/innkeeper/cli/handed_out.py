"""A file that the control plane makes: asked for, waited for, fetched, and removed there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from innkeeper.cli.desk import Desk
from innkeeper.cli.exits import ExitCode, Stop, wrong_usage
from innkeeper.cli.operate import ended
from innkeeper.cli.secret_value import value_from

Recipients = Annotated[
    list[str] | None,
    typer.Option("--recipient", metavar="KEY", help="Encrypt it to this age recipient or SSH public key; repeatable."),
]
PassphraseFile = Annotated[
    str | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help="Encrypt it with the passphrase from this file; `-`: from stdin, or typed unseen.",
    ),
]


def lock_of(recipients: list[str] | None, passphrase: str | None) -> dict[str, Any]:
    """Who can open it, as the API takes that."""
    if recipients and passphrase is not None:
        raise wrong_usage("It is encrypted to recipients or with a passphrase, not both.")
    words = None if passphrase is None else value_from(passphrase, asking="Passphrase")
    return {"recipients": recipients or [], "passphrase": words}


def made(desk: Desk, path: str, body: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The operation that has made one, and its result; Stop where it failed."""
    operation = ended(desk.client, desk.client.send("POST", path, body=body, patient=True))
    if operation["status"] == "failed":
        raise Stop(operation["error"], ExitCode.FAILED)
    return operation["id"], operation["result"]


def fetched(desk: Desk, path: str, operation: str, *, to: Path | None) -> None:
    """It is in the file, or on standard output, and not there any more."""
    desk.client.download(f"{path}/{operation}", to=to)
    desk.client.send("DELETE", f"{path}/{operation}")
