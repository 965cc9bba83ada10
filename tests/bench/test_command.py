"""The command line of the measurements."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import __main__ as command
from bench.report import Area


@pytest.fixture(autouse=True)
def areas(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Two areas that measure nothing, one of which fails."""
    measured: list[tuple[str, bool]] = []

    async def fine(*, quick: bool) -> Area:
        measured.append(("fine", quick))
        return Area(name="fine", how="Not at all.", rows=[])

    async def broken(*, quick: bool) -> Area:
        measured.append(("broken", quick))
        raise RuntimeError("out of order")

    monkeypatch.setattr(command, "AREAS", {"broken": broken, "fine": fine})
    return measured


def test_one_area_alone(areas: list[tuple[str, bool]], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "out.json"
    assert command.main(["fine", "--quick", "--json", str(out)]) == 0
    assert areas == [("fine", True)]
    assert "## fine" in capsys.readouterr().out
    assert [area["area"] for area in json.loads(out.read_text())["areas"]] == ["fine"]


def test_an_area_that_fails_doesnt_take_the_others_along(areas: list[tuple[str, bool]], tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    assert command.main(["--json", str(out)]) == 1
    assert areas == [("broken", False), ("fine", False)]
    broken, fine = json.loads(out.read_text())["areas"]
    assert broken["missing"] == ["RuntimeError: out of order"]
    assert fine["missing"] == []
