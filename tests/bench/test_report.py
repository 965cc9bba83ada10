"""Rows, targets and the table."""

from __future__ import annotations

import json

import pytest
from inline_snapshot import snapshot

from bench.report import Area, Floor, Judged, Row, Target, document, number, row, table
from bench.samples import samples


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (None, None),
        (Target(at_most=3), True),
        (Target(at_most=2.9), False),
        (Target(at_least=3), True),
        (Target(judged=Judged.RATIO, at_least=1.6), False),
        (Target(judged=Judged.RATIO, at_most=1.5), True),
        (Target(judged=Judged.EXCESS, at_most=0.9), False),
        (Target(judged=Judged.EXCESS, at_most=1), True),
    ],
)
def test_a_target_is_about_one_number(target: Target | None, met: bool | None) -> None:
    line = Row(what="it", value=3, unit="ms", floor=Floor(what="less", value=2), target=target)
    assert line.met is met


def test_a_target_beside_nothing_is_missed() -> None:
    assert Row(what="it", value=3, unit="ms", target=Target(judged=Judged.RATIO, at_most=9)).met is False


@pytest.mark.parametrize(("value", "text"), [(12345.6, "12,346"), (99.94, "99.9"), (9.994, "9.99"), (-0.35, "-0.35")])
def test_numbers_keep_the_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text


AREA = Area(
    name="gate",
    how="By hand.",
    rows=[
        row("hop", samples([0.2, 0.3, 0.4]), "ms", floor=Floor(what="bare", value=0.1), target=Target(at_most=0.25)),
        Row(what="memory", value=1234.5, unit="MB", note="all of it"),
    ],
    missing=["a peer: it isn't here"],
)


def test_the_table_is_markdown_in_columns() -> None:
    assert table([AREA]) == snapshot("""\
## gate

By hand.

| what   | p50      | p95 | beside     | ratio  | target    | met |
| ------ | -------- | --- | ---------- | ------ | --------- | --- |
| hop    | 0.30 ms  |     | bare: 0.10 | 3.00 × | ≤ 0.25 ms | NO  |
| memory | 1,234 MB |     |            |        |           |     |

- memory: all of it
- NOT MEASURED: a peer: it isn't here
""")


def test_the_document_holds_what_the_table_says() -> None:
    (area,) = json.loads(json.dumps(document([AREA])))
    hop, memory = area["rows"]
    assert (hop["value"], hop["p95"], hop["met"]) == (0.3, None, False)
    assert hop["ratio"] == pytest.approx(3)
    assert hop["excess"] == pytest.approx(0.2)
    assert memory["met"] is None
    assert area["missing"] == ["a peer: it isn't here"]
