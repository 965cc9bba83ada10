"""`innkeeper unit …`: tenants' folders."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, help="Units: the folders of tenants, and what is in them.")
