"""`python -m innkeeper`: the command line."""

from innkeeper.cli.main import run

run()
