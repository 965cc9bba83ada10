"""The answer of /v1/capacity for people."""

from __future__ import annotations

from typing import Any

from innkeeper.cli import show

COSTS = {
    "awake_mb": ("awake after a cold start", "MB"),
    "returned_mb": ("awake, back from swap", "MB"),
    "trimmed_mb": ("awake, trimmed", "MB"),
    "paused_mb": ("paused", "MB"),
    "paged_mb": ("paged out: resident", "MB"),
    "swapped_mb": ("paged out: in swap", "MB"),
    "zram_mb": ("paged out: in zram", "MB"),
    "keeper_mb": ("its container's keeper", "MB"),
    "unit_mb": ("its folder", "MB"),
    "tasks": ("processes and threads", ""),
    "inotify": ("inotify instances", ""),
    "wake_paused_s": ("wake from paused", "s"),
    "wake_paged_s": ("wake from paged", "s"),
    "wake_saved_s": ("wake from saved", "s"),
    "wake_stopped_s": ("cold start", "s"),
    "cold_cpu_s": ("processor time of that", "s"),
}
"""Each cost as people call it, with its unit."""


def tell(found: dict[str, Any]) -> None:
    """Print all of it."""
    _tell_host(found["host"], found["policy"])
    if not found["agents"]:
        show.line()
        show.line("There are no tenants yet, so nothing was measured. Ask about an agent with --agent.")
    for agent in found["agents"]:
        show.line()
        _tell_agent(agent, found["demand"])


def _tell_host(host: dict[str, Any], policy: dict[str, Any]) -> None:
    what = "a host like this, but for what you said" if host["what_if"] else "this host"
    ratio = host["zram_ratio"]
    zram = f"{host['zram_mb']:.0f} MB zram" if host["zram_mb"] else "no zram"
    if host["zram_mb"]:
        zram += f" (holds {ratio['mean']:.2f} to 1, {ratio['source']})"
    taken = f"{host['system_mb']:.0f} MB that the system and Innkeeper take now"
    show.facts(
        [
            ("host", f"{what}: {host['memory_mb']:.0f} MB, {host['cpus']:g} processors"),
            ("for tenants", f"{host['room_mb']:.0f} MB, without {taken} and a reserve of {host['reserve_mb']:.0f} MB"),
            ("swap", f"{zram}, {host['swap_mb']:.0f} MB on disk"),
            ("policy", policy["preset"]),
            *(("skipped", f"{each['rung']}: {each['why']}") for each in policy["skipped"]),
        ]
    )


def _tell_agent(agent: dict[str, Any], demand: dict[str, Any]) -> None:
    name, tenants = agent["agent"], agent["tenants"]
    show.line(f"{name}: {tenants} {'tenant' if tenants == 1 else 'tenants'} here")
    show.line()
    costs = [(title, unit, agent["costs"][key]) for key, (title, unit) in COSTS.items()]
    show.table(("ONE COSTS", "USUAL", "WORST", "SAMPLES", "SOURCE"), [_cost(*cost) for cost in costs], empty="")
    for says, titles in _remarks(costs).items():
        show.line(f"- {', '.join(titles)}: {says}")
    show.line()
    show.table(
        ("AWAKE", "SLEEPERS", "FIT", "FIRST LIMIT", "NEXT", "SWAP"), [_row(row) for row in agent["rows"]], empty=""
    )
    for note in dict.fromkeys(note for row in agent["rows"] for note in row["notes"]):
        show.line(f"- {note}")
    if (per_minute := agent["cold_starts_per_minute"]) is not None:
        per_day = f"{agent['cold_starts_per_day']:.0f} a day"
        where = f"where the busiest minutes see {demand['burst']:g} times the average"
        show.line(f"- cold starts: {per_minute:.1f} a minute at most, so {per_day} {where}")
    show.line()
    _tell_claims(agent)


def _cost(title: str, unit: str, figure: dict[str, Any]) -> tuple[show.Cell, ...]:
    if figure["source"] == "missing":
        return title, None, None, 0, "not measured yet"
    return title, _number(figure["usual"], unit), _number(figure["worst"], unit), figure["samples"], figure["source"]


def _number(value: float, unit: str) -> str:
    return (f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}").strip()


def _remarks(costs: list[tuple[str, str, dict[str, Any]]]) -> dict[str, list[str]]:
    """What there is to say of the figures, each with the costs that it is about."""
    found: dict[str, list[str]] = {}
    for title, _, figure in costs:
        if figure["says"]:
            found.setdefault(figure["says"], []).append(title)
    return found


def _row(row: dict[str, Any]) -> tuple[show.Cell, ...]:
    hard = [limit for limit in row["limits"] if limit["hard"]]
    swap = next((limit["tenants"] for limit in row["limits"] if limit["resource"] == "swap"), None)
    first, following = (_limit(limit) for limit in [*hard, None, None][:2])
    is_assumed = any(note.endswith("is assumed") for note in row["notes"])
    return (
        "all" if row["rung"] is None else f"{row['awake_share']:.0%}",
        None if row["rung"] is None else row["rung"] + (" (in the end)" if row["leads_to"] else ""),
        "not known" if row["fits"] is None else f"{row['fits']}{' (assumed)' if is_assumed else ''}",
        first,
        following,
        None if swap is None else f"full at {swap}",
    )


def _limit(limit: dict[str, Any] | None) -> str | None:
    return None if limit is None else f"{limit['resource']} at {limit['tenants']}"


def _tell_claims(agent: dict[str, Any]) -> None:
    """Others' tables, with what this agent would do on the same size."""
    here = "HERE" if agent["costs"]["awake_mb"]["source"] == "measured" else "ASSUMED"
    rungs = dict.fromkeys(row["rung"] for row in agent["host_claims"][0]["here"] if row["rung"])
    show.table(
        (
            "CLAIMED, NOT MEASURED",
            "ALWAYS ON",
            "WITH SLEEP",
            f"{here}: ALL AWAKE",
            *(f"{here}: {rung.upper()}" for rung in rungs),
        ),
        [_host_claim(claim) for claim in agent["host_claims"]],
        empty="",
    )
    show.line()
    show.table(
        ("CLAIMED, NOT MEASURED", "ALL AWAKE TAKE", here),
        [_memory_claim(claim) for claim in agent["memory_claims"]],
        empty="",
    )


def _host_claim(claim: dict[str, Any]) -> tuple[show.Cell, ...]:
    by_rung: dict[str | None, list[int | None]] = {}
    for row in claim["here"]:
        by_rung.setdefault(row["rung"], []).append(row["fits"])
    few, many = claim["with_sleep"]
    return (
        f"{claim['by']} ({claim['agent']}): {claim['memory_mb'] // 1024} GB",
        f"~{claim['always_on']}",
        f"~{few}-{many}",
        *("-".join("?" if fits is None else str(fits) for fits in dict.fromkeys(found)) for found in by_rung.values()),
    )


def _memory_claim(claim: dict[str, Any]) -> tuple[show.Cell, ...]:
    return (
        f"{claim['by']} ({claim['agent']}): {claim['tenants']} tenants",
        f"{claim['memory_mb']} MB",
        None if claim["here_mb"] is None else f"{claim['here_mb']:.0f} MB",
    )
