"""`innkeeper capacity`: the table, and simulations with what was measured and what was given."""

from __future__ import annotations

import sys
from dataclasses import replace
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from innkeeper.core.ladder import Rung
from innkeeper.core.past import NOTHING
from tests.api.bench import Bench
from tests.cli.conftest import Run

PAST = (
    NOTHING.with_peak(Rung.STOPPED, 100, same_stay=False)
    .with_peak(Rung.PAGED, 40, same_stay=False)
    .with_rest(Rung.PAUSED, 100, 0)
    .with_rest(Rung.PAGED, 10, 90)
    .with_wake(Rung.PAUSED, 0.02)
    .with_wake(Rung.PAGED, 0.5)
    .with_wake(Rung.STOPPED, 3.0)
)
GIVEN = (
    "--cost",
    "awake_mb=450,paused_mb=450,paged_mb=50,zram_mb=100",
    "--cost",
    "wake_paused_s=0.1,wake_paged_s=1,wake_stopped_s=2.5",
)


async def lived(bench: Bench, name: str = "alice") -> None:
    """A tenant that was measured."""
    await bench.tenant(name)
    tenant = bench.inn.directory.tenant(name)
    assert tenant is not None
    bench.inn.directory._put(replace(tenant, past=PAST))
    bench.house.dormitory.chronicle._pasts[name] = PAST


async def test_the_table_says_what_was_measured_and_what_limits(inn: Run, bench: Bench) -> None:
    await lived(bench)
    said = await inn("capacity")
    assert said.code == 0
    lines = [line.split() for line in said.out.splitlines()]
    assert "plain: 1 tenant here" in said.out
    assert ["awake", "after", "a", "cold", "start", "100", "MB", "100", "MB", "1", "measured"] in lines
    assert "- paged out: in zram: needs zram" in said.out
    assert ["all", "-", "154", "memory", "at", "154", "network", "at", "32000", "-"] in lines
    assert "claimed" in said.out.lower()
    assert ["OCMT", "(openclaw):", "4", "GB", "~8", "~50-100"] in [line[:6] for line in lines]
    as_json = (await inn("capacity", "--json", "--memory-mb", "4096", "--preset", "snappy")).document
    assert as_json["host"]["memory_mb"] == 4096
    assert as_json["policy"]["preset"] == "snappy"


async def test_an_empty_house_says_so(inn: Run) -> None:
    said = await inn("capacity")
    assert (said.code, "nothing was measured" in said.out) == (0, True)
    fresh = await inn("capacity", "--agent", "plain")
    assert "awake after a cold start: its limit, as if it used all of it" in fresh.out
    assert "120 (assumed)" in fresh.out
    assert "not known" in fresh.out
    assert "ASSUMED: ALL AWAKE" in fresh.out


async def test_a_fleet_by_chance_on_measured_costs(inn: Run, bench: Bench) -> None:
    await lived(bench)
    form = "tenants=50,per_day=48,hours=12,busy_s=10,spread=1,seed=3"
    document = (await inn("capacity", "--poisson", form, "--json")).document
    assert document["agent"] == "plain"
    assert document["costs"]["awake_mb"]["source"] == "measured"
    assert document["requests"] == document["answered"] + document["refused"] > 1000
    assert len(document["series"]) == 12
    assert document == (await inn("capacity", "--poisson", form, "--json")).document
    people = await inn("capacity", "--poisson", form)
    assert people.code == 0
    assert "measured here on plain: awake_mb 100, returned_mb 40" in people.out
    assert "simulated 0 %" in people.err
    fewer = (await inn("capacity", "--poisson", form, "--json", "--memory-mb", "2000", "--every", "600")).document
    assert fewer["evictions"]
    assert len(fewer["series"]) == 72


async def test_without_a_control_plane_what_is_given_is_enough(run: Run, tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("at_s,tenant,busy_s\n0,alice,10\n5,bob,0\n4000,alice,0\n")
    said = await run("capacity", "--simulate", str(trace), *GIVEN, "--json")
    assert said.code == 0, said.err
    assert "simulated with what you gave alone" in said.err
    document = said.document
    assert document["costs"]["awake_mb"]["source"] == "given"
    assert document["costs"]["swapped_mb"] | {"says": ""} == {
        "source": "assumed",
        "mean": 400,
        "usual": 400,
        "worst": 400,
        "samples": 0,
        "says": "",
    }
    assert document["host"] == {
        "cpus": 1,
        "slots": 1,
        "room_mb": None,
        "zram_mb": None,
        "zram_ratio": 4,
        "swap_mb": 0,
    }
    assert document["wakes"] == {"paged": 1, "stopped": 2}
    assert document["waits"]["paged"]["max_s"] == 1
    people = await run("capacity", "--simulate", str(trace), *GIVEN, "--memory-mb", "1000", "--slots", "2")
    assert "given, not measured: awake_mb 450" in people.out
    assert "memory for tenants 488 MB" in people.out


async def test_a_trace_comes_by_standard_input_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    piped = TextIOWrapper(BytesIO(b'{"at_s": 0, "tenant": "a"}\n'))
    monkeypatch.setattr(sys, "stdin", piped)
    piped.buffer.fileno = lambda: 0  # type: ignore[method-assign]  # the file that a pipe would have
    said = await run("capacity", "--simulate", "-", *GIVEN, "--json")
    assert (said.code, said.document["requests"]) == (0, 1)


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (("--poisson", "tenants=0,per_day=1,hours=1", *GIVEN), 2, "tenants can't be 0"),
        (("--poisson", "tenants=5,per_day=nan,hours=1", *GIVEN), 2, "per_day can't be nan"),
        (("--poisson", "tenants=5", *GIVEN), 2, "per_day is missing"),
        (("--poisson", "tenants=5,per_day=1,hours=1"), 5, "doesn't answer"),
        (("--poisson", "tenants=5,per_day=1,hours=1", "--cost", "awake_mb=1"), 1, "wake_stopped_s, paused_mb"),
        (("--poisson", "tenants=5,per_day=1,hours=1", "--cost", "awake_mb=nan"), 2, "awake_mb can't be nan"),
        (("--poisson", "tenants=5,per_day=1,hours=1", "--cost", "awake_mb=-1"), 2, "awake_mb can't be -1"),
        (("--poisson", "tenants=5,per_day=1,hours=1", "--cost", "awake_mb=lots"), 2, "takes a number"),
        (("--poisson", "tenants=5,per_day=1,hours=1", "--cost", "colour=1"), 2, "'colour=1' is no cost"),
        (("--poisson", "tenants=5,per_day=1,hours=1", *GIVEN, "--cost", "awake_mb=1"), 2, "said twice"),
        (("--poisson", "tenants=5,per_day=1,hours=1", *GIVEN, "--slots", "0"), 2, "--slots can't be 0"),
        (("--poisson", "tenants=5,per_day=1,hours=1", *GIVEN, "--every", "0"), 2, "--every can't be 0"),
        (("--poisson", "tenants=5,per_day=1,hours=1", *GIVEN, "--every", "nan"), 2, "--every can't be nan"),
        (("--poisson", "tenants=5,per_day=1,hours=1", *GIVEN, "--deadline", "-1"), 2, "--deadline can't be -1"),
        (("--poisson", "tenants=5,per_day=1,hours=1", *GIVEN, "--memory-mb", "nan"), 2, "--memory-mb can't be nan"),
        (("--poisson", "tenants=5,per_day=1,hours=1", *GIVEN, "--memory-mb", "-5"), 2, "--memory-mb can't be -5"),
        (("--poisson", "tenants=5,per_day=1,hours=1", *GIVEN, "--preset", "lazy"), 2, "no preset 'lazy'"),
        (("--poisson", "tenants=5,per_day=1,hours=1", *GIVEN, "--burst", "2"), 2, "say nothing in a simulation"),
        (("--poisson", "tenants=5,per_day=1,hours=1", "--simulate", "x", *GIVEN), 2, "say one of them"),
        (("--simulate", "/no/such/trace", *GIVEN), 2, "/no/such/trace can't be read: No such file"),
        (("--simulate", "/", *GIVEN), 2, "can't be read: Is a directory"),
        (("--simulate", "", *GIVEN), 2, "can't be read"),
        (("--slots", "2"), 2, "--slots says nothing without"),
        ((), 5, "doesn't answer"),
    ],
)
async def test_what_cant_be_ends_with_a_sentence(options: tuple[str, ...], code: int, says: str, run: Run) -> None:
    said = await run("capacity", *options, "--json")
    assert (said.code, says in said.document["detail"]) == (code, True), said


async def test_a_bad_line_is_named(run: Run, tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("0,alice\n10,bob\n5,carol\n")
    said = await run("capacity", "--simulate", str(trace), *GIVEN, "--json")
    assert (said.code, said.document["code"]) == (2, "invalid_trace")
    assert f"{trace}, line 3: 5 comes after 10" in said.document["detail"]
    assert "sort" in said.document["hint"]
    trace.write_bytes(b"\0" * 1_000_000)
    assert "line 1: it is longer than 4096 bytes" in (await run("capacity", "--simulate", str(trace), *GIVEN)).err


async def test_of_several_agents_one_has_to_be_named(inn: Run, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await lived(bench)
    await lived(bench, "bob")
    bob = bench.inn.directory.tenant("bob")
    assert bob is not None
    bench.inn.directory._put(replace(bob, spec=replace(bob.spec, agent="former")))
    form = "tenants=5,per_day=1,hours=1"
    said = await inn("capacity", "--poisson", form, "--json")
    assert (said.code, "former, plain" in said.document["hint"]) == (2, True)
    assert (await inn("capacity", "--poisson", form, "--agent", "plain")).code == 0
    assert (await inn("capacity", "--poisson", form, "--agent", "skynet")).code == 2
