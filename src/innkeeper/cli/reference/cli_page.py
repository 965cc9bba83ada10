"""docs/reference/cli.md: every command with its arguments and options."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer.main

from innkeeper.cli.exits import CODES, MEANING
from innkeeper.cli.reference.markdown import paragraph, table

_HEAD = """# Command line

A client of the API at `INNKEEPER_API` (default `127.0.0.1:8700`), with the token in `INNKEEPER_TOKEN`, else the one in
the data directory. `--json` prints one stable document on standard output: what the API calls it, a list of those, or,
from a command that begins an operation, `{"operation": …, "tenant": …}`; on failure a problem document with `code`,
`detail` and `hint`. Progress and questions go to standard error. Commands that can't be undone ask first, or take
`--yes`; without a terminal they refuse.
"""
_OWN_CODES = "Beside the API's own codes of problems (see api-errors.md) there are:\n"
_HIDDEN = {"help"}


def render() -> str:
    """The page."""
    codes = table(("exit code", "meaning"), ((str(int(code)), text) for code, text in MEANING.items()))
    own = table(("`code`", "meaning"), ((f"`{code}`", text) for code, text in CODES.items()))
    return "\n".join([_HEAD, codes, _OWN_CODES, own, *(_command(name, command) for name, command in commands())])


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that isn't hidden, by its whole name."""
    from innkeeper.cli.main import app

    root = typer.main.get_command(app)
    yield "innkeeper", root
    yield from _below("innkeeper", root)


def _below(path: str, group: Any) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from _below(f"{path} {name}", command)
        else:
            yield f"{path} {name}", command


def _command(name: str, command: Any) -> str:
    given = [parameter for parameter in command.params if parameter.name not in _HIDDEN]
    arguments = [parameter for parameter in given if parameter.param_type_name == "argument"]
    usage = " ".join([name, *(_placeholder(argument) for argument in arguments)])
    rows = [(_spelling(parameter), parameter.help or "", _default(parameter)) for parameter in given]
    options = table(("", "meaning", "default"), rows) if rows else ""
    return f"## `{usage}`\n\n{paragraph(command.help)}\n\n{options}"


def _placeholder(argument: Any) -> str:
    shown = argument.metavar or argument.name.upper()
    return shown if argument.required else f"[{shown}]"


def _spelling(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar or parameter.name.upper()}`"
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    return f"{names} {parameter.metavar}" if parameter.metavar else names


def _default(parameter: Any) -> str:
    value = parameter.default
    if value in (None, False, (), []) or parameter.required:
        return ""
    if value is True:
        return f"`{parameter.opts[0]}`"
    return f"`{value}`"
