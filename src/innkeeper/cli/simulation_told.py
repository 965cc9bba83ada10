"""What came of a simulation, for people."""

from __future__ import annotations

from typing import Any

from innkeeper.cli import show

SERIES_MAX = 60
"""More lines than that nobody reads; they are in the JSON."""
_SOURCES = {"given": "given, not measured", "assumed": "assumed", "bound": "an upper bound"}


def tell(found: dict[str, Any]) -> None:
    """Print all of it."""
    whole = found["whole"]
    show.facts(_about(found))
    show.line()
    show.table(
        ("WOKEN FROM", "REQUESTS", "P50", "P95", "P99", "MAX"),
        [*(_waits(rung, found["waits"][rung]) for rung in found["waits"]), _waits("turn to start", found["queue"])],
        empty="",
    )
    show.line()
    show.facts(_over_time(found, whole))
    if whole["cpu_share"] > 1 or any(each["cpu_share"] > 1 for each in found["series"]):
        show.line(
            "- cold starts would keep more than all processors busy: they would take longer than was reckoned with"
        )
    show.line()
    _series(found)


def _about(found: dict[str, Any]) -> list[tuple[str, show.Cell]]:
    host = found["host"]
    room = "without a limit" if host["room_mb"] is None else f"{host['room_mb']:.0f} MB"
    return [
        ("requests", f"{found['requests']} of {found['tenants']} tenants, from {found['requests_from']}"),
        ("policy", found["policy"]["preset"]),
        ("host", f"memory for tenants {room}, {host['cpus']:g} processors, {host['slots']} starts at once"),
        *(("costs", line) for line in _costs(found)),
        ("answered", f"{found['answered']}, {found['waited']} of them after a wait"),
        ("refused", f"{found['refused']}: there was no room, and nobody idle to make some"),
        ("too late", f"{found['over_deadline']} waited longer than {found['deadline_s']:g} s: a 503 first, then again"),
    ]


def _costs(found: dict[str, Any]) -> list[str]:
    """Each source with the figures that come from it."""
    by_source: dict[str, list[str]] = {}
    for name, figure in found["costs"].items():
        if figure["source"] != "missing":
            value = figure["usual" if name.startswith("wake") else "mean"]
            by_source.setdefault(figure["source"], []).append(f"{name} {value:.4g}")
    agent = found["agent"] or "no agent"
    told = {"measured": f"measured here on {agent}", **_SOURCES}
    return [f"{told[source]}: {', '.join(names)}" for source, names in by_source.items()]


def _waits(name: str, spread: dict[str, Any]) -> tuple[show.Cell, ...]:
    return name, spread["number"], *(_seconds(spread[key]) for key in ("p50_s", "p95_s", "p99_s", "max_s"))


def _seconds(value: float | None) -> str | None:
    if value is None:
        return None
    return f"{value:.3g} s" if value < 1000 else show.duration(round(value))


def _over_time(found: dict[str, Any], whole: dict[str, Any]) -> list[tuple[str, show.Cell]]:
    hours = (whole["lasts_s"] or 1) / 3600
    busiest = max(each["cpu_share"] for each in found["series"])
    share = f"{whole['cpu_share']:.1%} of the processors, at most {busiest:.1%}"
    return [
        ("time", f"{whole['lasts_s'] / 3600:.1f} h, {found['events']} events"),
        ("memory", f"{whole['ram_mb']:.0f} MB on average, {whole['ram_least_mb']:.0f} to {whole['ram_most_mb']:.0f}"),
        ("swap", f"{whole['swap_mb']:.0f} MB on average, at most {whole['swap_most_mb']:.0f}"),
        ("tenants", ", ".join(f"{mean:.1f} {name}" for name, mean in whole["tenants"].items() if mean)),
        ("wakes", ", ".join(f"{number} from {rung}" for rung, number in found["wakes"].items()) or None),
        ("for room", ", ".join(f"{number} {rung}" for rung, number in found["evictions"].items()) or None),
        ("cold starts", f"{whole['cold_starts'] / hours:.1f} an hour: {share}"),
    ]


def _series(found: dict[str, Any]) -> None:
    series = found["series"]
    if len(series) > SERIES_MAX:
        show.line(f"{len(series)} stretches of {found['every_s']:g} s: see them with --json, or say a longer --every.")
        return
    begins_s = series[0]["begins_s"]
    places = [name for name in series[0]["tenants"] if any(each["tenants"][name] for each in series)]
    rows = [
        (
            _clock(each["begins_s"] - begins_s),
            each["requests"],
            each["refused"],
            each["cold_starts"],
            f"{each['cpu_share']:.0%}",
            f"{each['ram_mb']:.0f}",
            f"{each['ram_most_mb']:.0f}",
            f"{each['swap_mb']:.0f}",
            *(f"{each['tenants'][name]:.1f}" for name in places),
        )
        for each in series
    ]
    heads = ("FROM", "REQUESTS", "REFUSED", "COLD", "CPU", "RAM MB", "MOST", "SWAP MB", *map(str.upper, places))
    show.table(heads, rows, empty="")


def _clock(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60:02}:{minutes % 60:02}"
