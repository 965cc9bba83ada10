"""`innkeeper unit …`: tenants' folders, taken elsewhere and taken in."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, help="Units: tenants' folders, taken elsewhere and taken in.")
