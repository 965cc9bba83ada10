"""The command line: its commands put together, and every way in which one can end."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from innkeeper.cli import (
    agents,
    audit,
    backups,
    capacity,
    compose,
    data_export,
    doctor,
    drills,
    egress,
    host,
    hydrate,
    inbox,
    integrations,
    keyring,
    keys,
    mcp,
    members,
    operations,
    packs,
    receipts,
    reference_command,
    restores,
    secrets,
    serve,
    sessions,
    show,
    status,
    talk,
    tenants,
    tokens,
    unit_export,
    unit_import,
    units,
    usage,
    users,
    version,
)
from innkeeper.cli.desk import Desk
from innkeeper.cli.exits import ExitCode, Stop, from_problem, wrong_usage
from innkeeper.core.errors import Problem
from innkeeper.crashes import on_stderr, tell_crashes

app = typer.Typer(
    name="innkeeper",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Innkeeper: an AI agent for every customer, from one control plane.",
)


@app.callback()
def root(
    ctx: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="Settings as TOML; INNKEEPER_* in the environment win."),
    ] = None,
) -> None:
    """Innkeeper: an AI agent for every customer, from one control plane."""
    ctx.obj = Desk(config=config)


app.command()(serve.serve)
app.command()(doctor.doctor)
app.command()(status.status)
app.command()(capacity.capacity)
app.command()(usage.usage)
app.command()(version.version)
app.command()(sessions.whoami)
app.command()(restores.restore)
app.add_typer(tenants.app, name="tenant")
app.add_typer(units.app, name="unit")
app.add_typer(compose.app, name="compose")
app.add_typer(agents.images, name="image")
app.add_typer(agents.agents, name="agent")
app.add_typer(keys.app, name="key")
app.add_typer(secrets.app, name="secret")
app.add_typer(keyring.app, name="keyring")
app.add_typer(integrations.app, name="integration")
app.add_typer(users.app, name="user")
app.add_typer(members.app, name="member")
app.add_typer(mcp.app, name="mcp")
app.add_typer(tokens.app, name="token")
app.add_typer(sessions.app, name="session")
app.add_typer(inbox.app, name="inbox")
app.add_typer(egress.app, name="egress")
app.add_typer(drills.app, name="drill")
app.add_typer(host.app, name="host")
app.add_typer(packs.app, name="pack")
app.add_typer(operations.app, name="operation")
app.add_typer(backups.app, name="backup")
app.add_typer(audit.app, name="audit")
app.add_typer(receipts.app, name="receipt")
app.command(hidden=True)(reference_command.reference)
units.app.command("export")(unit_export.export)
tenants.app.command()(talk.chat)
tenants.app.command()(talk.logs)
tenants.app.command("export-data")(data_export.export_data)
units.app.command()(hydrate.hydrate)
units.app.command()(hydrate.status)
units.app.command("import")(unit_import.take_in)
tenants.app.command()(restores.confirm)


def run(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with one of its exit codes."""
    tell_crashes(on_stderr)
    sys.exit(outcome(sys.argv[1:] if arguments is None else arguments))


def outcome(arguments: list[str]) -> int:
    """Run one command: its exit code, with what ended it told."""
    as_json = "--json" in arguments
    try:
        code = app(arguments, prog_name="innkeeper", standalone_mode=False)
        sys.stdout.flush()
    except Stop as stop:
        show.error(stop, as_json=as_json)
        return stop.exit_code
    except Problem as problem:
        ended = from_problem(problem)
        show.error(ended, as_json=as_json)
        return ended.exit_code
    except typer.TyperException as error:
        show.error(wrong_usage(error.format_message(), hint=_help_for(error)), as_json=as_json)
        return ExitCode.USAGE
    except BrokenPipeError:
        # Whoever read our output has left: there is nobody to tell, not even when Python flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    except (KeyboardInterrupt, typer.Abort):
        return 130
    return code if isinstance(code, int) else ExitCode.DONE


def _help_for(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    return f"See `{context.command_path if context else 'innkeeper'} --help`."
