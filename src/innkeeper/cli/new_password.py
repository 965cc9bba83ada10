"""A new password from where nobody else sees it: typed without echo, or read from a file; never an argument."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from innkeeper.cli.exits import wrong_usage

PasswordFile = Annotated[
    str | None,
    typer.Option(
        "--password-file",
        metavar="FILE",
        help="Read the password from this file; `-`: from standard input, or typed unseen at a terminal.",
    ),
]
LONGEST_READ = 10_000
"""Characters; far more than any password has."""


def asked_for() -> str:
    """Typed twice at the terminal, unseen."""
    if not sys.stdin.isatty():
        raise wrong_usage(
            "There is nobody to ask for a password.",
            hint="Say --password-file FILE, or `-` for standard input; or --no-password.",
        )
    password = getpass.getpass("Password: ")
    if getpass.getpass("The same again: ") != password:
        raise wrong_usage("These were two different passwords.")
    return _checked(password)


def read_from(file: str) -> str:
    """What the file holds, without the line's end that editors and `echo` put there."""
    if file == "-" and sys.stdin.isatty():
        return asked_for()
    try:
        if file == "-":
            text = sys.stdin.read(LONGEST_READ)
        else:
            with Path(file).open(encoding="utf-8", newline="") as opened:
                text = opened.read(LONGEST_READ)
    except UnicodeDecodeError:
        raise wrong_usage("The password isn't UTF-8.") from None
    except OSError as error:
        raise wrong_usage(f"The password can't be read from {file}: {error.strerror}.") from None
    return _checked(text.removesuffix("\n").removesuffix("\r"))


def _checked(password: str) -> str:
    if not password:
        raise wrong_usage("The password is empty.")
    try:
        password.encode()
    except UnicodeEncodeError:
        raise wrong_usage("The password isn't UTF-8.") from None
    return password
