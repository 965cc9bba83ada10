"""A secret's value from where nobody else sees it: a file, standard input, or typed without echo; never an argument."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from innkeeper.cli.exits import Stop, wrong_usage

FromFile = Annotated[
    str | None,
    typer.Option(
        "--from-file",
        metavar="FILE",
        help="Read the value from this file; without, or as `-`, from standard input, or typed unseen at a terminal. "
        "Of a single line its end is left out.",
    ),
]
LONGEST_READ = 1 << 20
"""Characters; the control plane says what is too long."""


def value_from(file: str | None, *, asking: str, unless: Stop | None = None) -> str:
    """The value, where it isn't typed by the rule above; several lines, as of a key in PEM, stay as they are.

    Without any Stop is raised: `unless`, or one that says so.
    """
    typed = file in (None, "-") and sys.stdin.isatty()
    text = getpass.getpass(f"{asking}: ") if typed else _read(file)
    line = text.removesuffix("\n").removesuffix("\r")
    value = text if "\n" in line else line
    if not value:
        raise unless or wrong_usage("The value is empty.")
    return value


def _read(file: str | None) -> str:
    try:
        if file in (None, "-"):
            return sys.stdin.read(LONGEST_READ)
        with Path(str(file)).open(encoding="utf-8", newline="") as opened:
            return opened.read(LONGEST_READ)
    except UnicodeDecodeError:
        raise wrong_usage("The value isn't UTF-8.", hint="Encode it, in base64 say.") from None
    except OSError as error:
        raise wrong_usage(f"The value can't be read from {file}: {error.strerror}.") from None
