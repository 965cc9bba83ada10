"""`innkeeper agent list` and `innkeeper image build|list`: what can be run here."""

from __future__ import annotations

from typing import Annotated

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.exits import failed
from innkeeper.cli.options import Json

agents = typer.Typer(no_args_is_help=True, help="Agents: the kinds of program that tenants run.")
images = typer.Typer(no_args_is_help=True, help="Images of agents, each recorded as a release.")


@agents.command("list")
def list_agents(ctx: typer.Context, as_json: Json = False) -> None:
    """List the agents that this control plane knows how to run."""
    desk: Desk = ctx.obj
    found = list(desk.client.items("/v1/agents"))
    if as_json:
        show.document(found)
        return
    rows = [
        (
            agent["name"],
            agent["title"],
            f"{agent['limits']['memory_mb']} MB",
            f"{agent['floor_mb']} MB",
            ", ".join(agent["releases"]) or None,
        )
        for agent in found
    ]
    show.table(("NAME", "WHAT IT IS", "MEMORY", "AT LEAST", "RELEASES"), rows, empty="There are no agents.")


@images.command("build")
def build(
    ctx: typer.Context,
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="openclaw or nanobot.")],
    version: Annotated[str | None, typer.Option(help="The version tested with this Innkeeper, if not said.")] = None,
    source: Annotated[str, typer.Option(help="auto, registry or packages.")] = "auto",
    as_json: Json = False,
) -> None:
    """Make an agent's image, or find it, and record it as a release."""
    desk: Desk = ctx.obj
    release = None
    with show.progress() as tell:
        body = {"agent": agent, "version": version, "source": source}
        for event, data in desk.client.events("POST", "/v1/releases/build", body=body):
            if event == "progress":
                tell(data["says"])
            elif event == "release":
                release = data
    if release is None:
        raise failed("broke_off", "The build broke off.", "Run it again: it goes on where it stopped.")
    if as_json:
        show.document(release)
    else:
        show.line(f"{release['agent']} {release['version']} is {release['image']} ({release['size_mb']} MB)")


@images.command("list")
def list_images(
    ctx: typer.Context,
    agent: Annotated[str | None, typer.Option(help="Only those of this agent.")] = None,
    as_json: Json = False,
) -> None:
    """List the releases that can be run here."""
    desk: Desk = ctx.obj
    found = list(desk.client.items("/v1/releases", {"agent": agent}))
    if as_json:
        show.document(found)
        return
    rows = [(each["agent"], each["version"], each["source"], f"{each['size_mb']} MB", each["image"]) for each in found]
    hint = "No images yet. Build one: innkeeper image build openclaw"
    show.table(("AGENT", "VERSION", "SOURCE", "SIZE", "IMAGE"), rows, empty=hint)
