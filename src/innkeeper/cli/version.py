"""`innkeeper version`."""

from __future__ import annotations

from importlib.metadata import version as installed

from innkeeper.cli import show
from innkeeper.cli.options import Json


def version(as_json: Json = False) -> None:
    """Print the version of this command line."""
    if as_json:
        show.document({"version": installed("innkeeper")})
    else:
        show.line(f"innkeeper {installed('innkeeper')}")
