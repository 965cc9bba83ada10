"""`innkeeper capacity`: how many tenants fit here, and what a fleet would do on this host."""

from __future__ import annotations

from typing import Annotated

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.exits import wrong_usage
from innkeeper.cli.options import Json

_WHAT_IF = "What if the host were another"
_SIMULATION = "Simulation"
FORM = "tenants=…,per_day=…,hours=…"


def capacity(
    ctx: typer.Context,
    agent: Annotated[str | None, typer.Option(help="Only this agent; one without tenants can be asked about.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="The sleep policy by name; the installation's own if not said.")
    ] = None,
    memory_mb: Annotated[float | None, typer.Option(help="Its memory.", rich_help_panel=_WHAT_IF)] = None,
    cpus: Annotated[float | None, typer.Option(help="Its processors.", rich_help_panel=_WHAT_IF)] = None,
    zram_mb: Annotated[
        float | None, typer.Option(help="Size of its zram, before compression.", rich_help_panel=_WHAT_IF)
    ] = None,
    zram_ratio: Annotated[
        float | None, typer.Option(help="How well that compresses.", rich_help_panel=_WHAT_IF)
    ] = None,
    swap_mb: Annotated[float | None, typer.Option(help="Its swap on disk.", rich_help_panel=_WHAT_IF)] = None,
    reserve_mb: Annotated[
        float | None, typer.Option(help="Memory to leave alone; as the settings say.", rich_help_panel=_WHAT_IF)
    ] = None,
    wakes_per_day: Annotated[
        float | None, typer.Option(help="Cold starts of one tenant; 2 if not said.", rich_help_panel=_WHAT_IF)
    ] = None,
    burst: Annotated[
        float | None,
        typer.Option(
            help="How many times the average the busiest minutes see; 10 if not said.", rich_help_panel=_WHAT_IF
        ),
    ] = None,
    simulate: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="A trace of requests, sorted by time: CSV `at_s,tenant[,busy_s]` or JSON Lines; - is standard input.",
            rich_help_panel=_SIMULATION,
        ),
    ] = None,
    poisson: Annotated[
        str | None,
        typer.Option(
            metavar=FORM,
            help="Requests by chance instead; `busy_s=`, `spread=` and `seed=` may follow.",
            rich_help_panel=_SIMULATION,
        ),
    ] = None,
    cost: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=NUMBER",
            help="A cost that isn't measured yet, or another one: awake_mb, paged_mb, wake_stopped_s, …; repeated, or "
            "several with commas.",
            rich_help_panel=_SIMULATION,
        ),
    ] = None,
    slots: Annotated[
        int | None,
        typer.Option(
            help="How many may start at once; as many as processors if not said.", rich_help_panel=_SIMULATION
        ),
    ] = None,
    every: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", help="Length of each line of the series; 3600 if not said.", rich_help_panel=_SIMULATION
        ),
    ] = None,
    deadline: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", help="How long a request is held; as the settings say.", rich_help_panel=_SIMULATION
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show how many tenants fit by what was measured here, and what limits them; or simulate a fleet with --simulate
    or --poisson."""
    desk: Desk = ctx.obj
    asked = {
        "agent": agent,
        "preset": preset,
        "memory_mb": memory_mb,
        "cpus": cpus,
        "zram_mb": zram_mb,
        "zram_ratio": zram_ratio,
        "swap_mb": swap_mb,
        "reserve_mb": reserve_mb,
    }
    if simulate is not None or poisson is not None:
        from innkeeper.cli.simulation import Wish, simulation

        if simulate is not None and poisson is not None:
            raise wrong_usage("--simulate and --poisson are two sources of requests: say one of them.")
        if wakes_per_day is not None or burst is not None:
            raise wrong_usage("--wakes-per-day and --burst say nothing in a simulation: the requests say it.")
        wish = Wish(asked=asked, trace=simulate, poisson=poisson, cost=cost or [], slots=slots, every_s=every,
            deadline_s=deadline)  # fmt: skip
        simulation(desk, wish, as_json=as_json)
        return
    for name, value in (("cost", cost), ("slots", slots), ("every", every), ("deadline", deadline)):
        if value not in (None, []):
            raise wrong_usage(f"--{name} says nothing without --simulate or --poisson.")
    found = desk.client.document("/v1/capacity", {**asked, "wakes_per_day": wakes_per_day, "burst": burst})
    if as_json:
        show.document(found)
    else:
        from innkeeper.cli.capacity_table import tell

        tell(found)
