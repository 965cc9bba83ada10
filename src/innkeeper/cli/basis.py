"""What a simulation rests on: costs and host as the control plane has measured them, with what is given over that."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from innkeeper.cli import show
from innkeeper.cli.exits import ExitCode, Stop, failed, wrong_usage
from innkeeper.core.capacity import rungs_of
from innkeeper.core.costs import HOW, NAMES, UNKNOWN, Costs, Figure, Source
from innkeeper.core.ladder import TIMING, Rung, SleepPolicy
from innkeeper.core.simulate import missing

if TYPE_CHECKING:
    from innkeeper.cli.client import Params
    from innkeeper.cli.desk import Desk


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What a simulation rests on."""

    agent: str | None
    costs: Costs
    policy: SleepPolicy
    missing: tuple[Rung, ...]
    cpus: float
    room_mb: float
    zram_mb: float
    zram_ratio: float
    swap_mb: float


def costs_from(parts: list[str]) -> dict[str, float]:
    """`--cost awake_mb=450,paged_mb=50` as numbers by name."""
    given: dict[str, float] = {}
    for part in (piece.strip() for each in parts for piece in each.split(",")):
        name, equals, text = part.partition("=")
        if not equals or name not in NAMES:
            raise wrong_usage(f"--cost: {part[:60]!r} is no cost.", hint=f"There are: {', '.join(NAMES)}.")
        try:
            value = float(text)
        except ValueError:
            raise wrong_usage(f"--cost: {name} takes a number, not {text[:40]!r}.") from None
        if not math.isfinite(value) or value < 0:
            raise wrong_usage(f"--cost: {name} can't be {text[:40]}.")
        if name in given:
            raise wrong_usage(f"--cost: {name} is said twice.")
        given[name] = value
    return given


def basis_of(desk: Desk, asked: Params, given: Mapping[str, float]) -> Basis:
    """From the control plane, with what was given over it; from that alone where nobody answers."""
    try:
        found = desk.client.document("/v1/capacity", asked)
    except Stop as stop:
        if stop.exit_code is not ExitCode.UNREACHABLE or not given:
            raise
        show.aside(f"The control plane doesn't answer at {desk.settings.api}: simulated with what you gave alone.")
        return _given_alone(desk, asked, given)
    agents = found["agents"]
    if len(agents) > 1:
        names = ", ".join(agent["agent"] for agent in agents)
        raise wrong_usage("There are tenants of several agents.", hint=f"Say --agent with one of: {names}.")
    host, policy = found["host"], found["policy"]
    costs = _costs(agents[0]["costs"]) if agents else UNKNOWN
    costs = costs.with_given(given, cpus=host["cpus"])
    return Basis(
        agent=agents[0]["agent"] if agents else None,
        costs=costs,
        policy=SleepPolicy(preset=policy["preset"], **{name: policy[name] for name in TIMING}),
        missing=tuple(Rung(each["rung"]) for each in policy["skipped"]),
        cpus=host["cpus"],
        room_mb=host["room_mb"],
        zram_mb=host["zram_mb"],
        zram_ratio=_ratio(costs, host["zram_ratio"]["mean"]),
        swap_mb=host["swap_mb"],
    )


def _given_alone(desk: Desk, asked: Params, given: Mapping[str, float]) -> Basis:
    from innkeeper.core.policy import presets_from

    settings = desk.settings
    presets = presets_from(settings.presets)
    preset = str(asked["preset"] or settings.preset)
    if preset not in presets:
        raise wrong_usage(f"There is no preset {preset[:40]!r}.", hint=f"There are: {', '.join(presets)}.")
    said = {name: None if asked[name] is None else float(str(asked[name])) for name in _SAID_MB}
    memory_mb = within("memory-mb", said["memory_mb"], math.inf, 1, math.inf)
    reserve_mb = min(settings.memory_reserve_mb, memory_mb) if memory_mb < math.inf else 0.0
    cpus = within("cpus", asked["cpus"], 1, 0.01, 4096)
    costs = UNKNOWN.with_given(given, cpus=cpus)
    no_swap_said = said["zram_mb"] is None and said["swap_mb"] is None
    return Basis(
        agent=None if asked["agent"] is None else str(asked["agent"]),
        costs=costs,
        policy=presets[preset],
        missing=(),
        cpus=cpus,
        room_mb=memory_mb - within("reserve-mb", said["reserve_mb"], reserve_mb, 0, memory_mb),
        zram_mb=math.inf if no_swap_said else within("zram-mb", said["zram_mb"], 0, 0, math.inf),
        zram_ratio=_ratio(costs, within("zram-ratio", asked["zram_ratio"], 1, 1, 100)),
        swap_mb=within("swap-mb", said["swap_mb"], 0, 0, math.inf),
    )


_SAID_MB = ("memory_mb", "zram_mb", "swap_mb", "reserve_mb")


def _costs(told: Mapping[str, Mapping[str, Any]]) -> Costs:
    return Costs(**{name: Figure(**{**told[name], "source": Source(told[name]["source"])}) for name in NAMES})


def _ratio(costs: Costs, of_the_host: float | None) -> float:
    """As a tenant's figures have it, where somebody has said what it takes of zram."""
    if costs.zram_mb.source is Source.GIVEN and costs.zram_mb.mean and costs.swapped_mb.mean:
        return max(1.0, costs.swapped_mb.mean / costs.zram_mb.mean)
    return of_the_host or 1.0


def check(basis: Basis) -> None:
    """Stop where a cost is missing that nothing can be simulated without."""
    lacking = missing(basis.costs, [Rung.STOPPED, *rungs_of(basis.policy, basis.missing)])
    if lacking:
        raise failed(
            "not_measured",
            f"{', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} not measured yet"
            f"{f' for {basis.agent}' if basis.agent else ''}, and a simulation needs "
            f"{'it' if len(lacking) == 1 else 'them'}.",
            f"Give {'it' if len(lacking) == 1 else 'them'} with `--cost {lacking[0]}=…`, or get it measured: "
            f"{HOW[lacking[0]]}.",
        )


def within(option: str, value: object, otherwise: float, least: float, most: float) -> float:
    """An option's number, or what it is otherwise; Stop where it lies outside of what can be."""
    number = otherwise if value is None else float(value)  # type: ignore[arg-type]  # Typer made it a number
    if math.isnan(number) or not least <= number <= most:
        raise wrong_usage(f"--{option} can't be {number:g}: it goes from {least:g} to {most:g}.")
    return number
