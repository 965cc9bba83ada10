"""The rows of the report: what was measured beside what, and whether that is good enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from bench.samples import Samples


class Judged(StrEnum):
    """Which number of a row the target is about."""

    VALUE = "value"
    RATIO = "ratio"  # value / floor
    EXCESS = "excess"  # value - floor


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is to be reached; exactly one of the bounds is given."""

    judged: Judged = Judged.VALUE
    at_most: float | None = None
    at_least: float | None = None

    def met_by(self, number: float) -> bool:
        """Whether the number keeps to the bound."""
        return (self.at_most is None or number <= self.at_most) and (self.at_least is None or number >= self.at_least)


@dataclass(frozen=True, kw_only=True)
class Floor:
    """What the same machine did in the same run without us, or with a peer in our place."""

    what: str
    value: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the report."""

    what: str
    value: float
    unit: str
    p95: float | None = None
    floor: Floor | None = None
    target: Target | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times the floor it is."""
        return self.value / self.floor.value if self.floor and self.floor.value else None

    @property
    def excess(self) -> float | None:
        """How much more than the floor it is."""
        return self.value - self.floor.value if self.floor else None

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        if self.target is None:
            return None
        number = {Judged.VALUE: self.value, Judged.RATIO: self.ratio, Judged.EXCESS: self.excess}[self.target.judged]
        return number is not None and self.target.met_by(number)


@dataclass(frozen=True, kw_only=True)
class Area:
    """What belongs together: its rows, how they came about, and what could not be measured."""

    name: str
    how: str
    rows: Sequence[Row]
    missing: Sequence[str] = ()


def row(
    what: str,
    found: Samples,
    unit: str,
    *,
    floor: Floor | None = None,
    target: Target | None = None,
    note: str = "",
) -> Row:
    """The line that says what the samples say."""
    return Row(what=what, value=found.p50, p95=found.p95, unit=unit, floor=floor, target=target, note=note)


# --- for people -------------------------------------------------------------------------------------------------------

TIMES = "×"
_HEADS = ("what", "p50", "p95", "beside", "ratio", "target", "met")


def table(areas: Sequence[Area]) -> str:
    """All of it as Markdown tables with their columns in line, so that terminals and documents can show them."""
    return "\n\n".join(_area(area) for area in areas) + "\n"


def _area(area: Area) -> str:
    cells = [_HEADS, *(_cells(line) for line in area.rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADS))]
    drawn = [_line(line, widths) for line in cells]
    drawn.insert(1, _line(["-" * width for width in widths], widths))
    notes = [f"- {line.what}: {line.note}" for line in area.rows if line.note]
    notes += [f"- NOT MEASURED: {what}" for what in area.missing]
    parts = [f"## {area.name}", area.how, "\n".join(drawn) if area.rows else "", "\n".join(notes)]
    return "\n\n".join(part for part in parts if part)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


def _cells(line: Row) -> tuple[str, ...]:
    met = {None: "", True: "yes", False: "NO"}[line.met]
    beside = f"{line.floor.what}: {number(line.floor.value)}" if line.floor else ""
    ratio = f"{number(line.ratio)} {TIMES}" if line.ratio is not None else ""
    p95 = number(line.p95) if line.p95 is not None else ""
    return (line.what, f"{number(line.value)} {line.unit}", p95, beside, ratio, _wish(line), met)


def _wish(line: Row) -> str:
    target = line.target
    if target is None:
        return ""
    sign, bound = ("≤", target.at_most) if target.at_most is not None else ("≥", target.at_least)
    bound_text = number(bound or 0.0)
    match target.judged:
        case Judged.VALUE:
            return f"{sign} {bound_text} {line.unit}"
        case Judged.RATIO:
            return f"{sign} {bound_text} {TIMES}"
        case Judged.EXCESS:
            return f"{sign} {bound_text} {line.unit} more ({number(line.excess or 0.0)})"


def number(value: float) -> str:
    """Three digits that count, no more."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


# --- for programs -----------------------------------------------------------------------------------------------------


def document(areas: Sequence[Area]) -> list[dict[str, Any]]:
    """All of it, to be kept as JSON."""
    return [
        {
            "area": area.name,
            "how": area.how,
            "missing": list(area.missing),
            "rows": [
                {**asdict(line), "ratio": line.ratio, "excess": line.excess, "met": line.met} for line in area.rows
            ],
        }
        for area in areas
    ]
