"""`innkeeper capacity --simulate|--poisson`: runs in this process, on costs that were measured or that you give."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from innkeeper.cli import show
from innkeeper.cli.basis import Basis, basis_of, check, costs_from, within
from innkeeper.cli.exits import wrong_usage
from innkeeper.cli.simulation_told import tell
from innkeeper.cli.traces import TraceFile
from innkeeper.core.costs import NAMES
from innkeeper.core.ladder import TIMING
from innkeeper.core.simulate import (
    Report,
    Request,
    Run,
    Terms,
    arrivals_from,
    burden_of,
    read_trace,
    simulate,
)

if TYPE_CHECKING:
    from innkeeper.cli.client import Params
    from innkeeper.cli.desk import Desk

EVERY_S = 3600.0
EVERY_MIN_S, EVERY_MAX_S = 1.0, 365 * 86400.0
SLOTS_MAX = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the command line asks for."""

    asked: Params
    """What /v1/capacity is asked."""
    trace: str | None
    poisson: str | None
    cost: list[str]
    slots: int | None
    every_s: float | None
    deadline_s: float | None


def simulation(desk: Desk, wish: Wish, *, as_json: bool) -> None:
    """Run it and print what came of it."""
    every_s = within("every", wish.every_s, EVERY_S, EVERY_MIN_S, EVERY_MAX_S)
    deadline_s = within("deadline", wish.deadline_s, desk.settings.wake_deadline_s, 0, 86400)
    given = costs_from(wish.cost)
    arrivals = arrivals_from(wish.poisson) if wish.poisson is not None else None
    basis = basis_of(desk, wish.asked, given)
    slots = int(within("slots", wish.slots, max(1, math.floor(basis.cpus)), 1, SLOTS_MAX))
    check(basis)
    terms = Terms(
        policy=basis.policy,
        missing=basis.missing,
        sweep_s=desk.settings.sweep_s,
        deadline_s=deadline_s,
        room_mb=basis.room_mb,
        zram_mb=basis.zram_mb,
        zram_ratio=basis.zram_ratio,
        swap_mb=basis.swap_mb,
    )
    run = Run(
        terms=terms,
        burden=burden_of(basis.costs),
        cpus=basis.cpus,
        slots=slots,
        every_s=every_s,
    )
    if arrivals is not None:
        run = replace(run, tenants=arrivals.tenants, ends_s=arrivals.ends_s)
        report = _watched(arrivals.requests(), run, lambda now: now / arrivals.ends_s)
    else:
        with _opened(wish.trace or "-") as trace:
            report = _watched(read_trace(trace.lines(), trace.name), run, lambda _now: trace.share)
    document = _document(wish, basis, run, report)
    if as_json:
        show.document(document)
    else:
        tell(document)


@contextmanager
def _opened(path: str) -> Iterator[TraceFile]:
    try:
        with TraceFile.open(path) as trace:
            yield trace
    except OSError as error:
        raise wrong_usage(
            f"The trace {path} can't be read: {error.strerror or error}.",
            hint="Name a file with a line for each request: `at_s,tenant[,busy_s]`.",
        ) from error


def _watched(requests: Iterator[Request], run: Run, share: Callable[[float], float | None]) -> Report:
    """Run it, with a word now and then on stderr."""
    with show.progress() as say:

        def told(now: float) -> None:
            done = share(now)
            say(f"simulated {now / 3600:.0f} h" if done is None else f"simulated {5 * int(20 * done)} %")

        return simulate(requests, run, tell=told)


def _document(wish: Wish, basis: Basis, run: Run, report: Report) -> dict[str, Any]:
    return {
        "agent": basis.agent,
        "requests_from": f"poisson {wish.poisson}" if wish.poisson is not None else wish.trace,
        "policy": {name: getattr(basis.policy, name) for name in ("preset", *TIMING)},
        "skipped": [str(rung) for rung in basis.missing],
        "costs": {name: asdict(getattr(basis.costs, name)) for name in NAMES},
        "host": {
            "cpus": basis.cpus,
            "slots": run.slots,
            "room_mb": _finite(basis.room_mb),
            "zram_mb": _finite(basis.zram_mb),
            "zram_ratio": round(basis.zram_ratio, 3),
            "swap_mb": _finite(basis.swap_mb),
        },
        "sweep_s": run.terms.sweep_s,
        "deadline_s": run.terms.deadline_s,
        **_rounded(asdict(report)),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _rounded(value: Any) -> Any:
    """Numbers to what can be meant."""
    match value:
        case float():
            return round(value, 3)
        case dict():
            return {name: _rounded(each) for name, each in value.items()}
        case list() | tuple():
            return [_rounded(each) for each in value]
        case _:
            return value
