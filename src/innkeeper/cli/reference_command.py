"""`innkeeper reference`: writes the reference pages of the documentation; hidden, for whoever works on Innkeeper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from innkeeper.cli import show


def reference(write: Annotated[Path, typer.Option(help="The folder to write to, like docs/reference.")]) -> None:
    """Generate the reference pages from the code."""
    from innkeeper.cli.reference import pages

    write.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (write / name).write_text(text)
        show.line(str(write / name))
