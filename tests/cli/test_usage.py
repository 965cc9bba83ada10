"""`innkeeper usage`, and budgets set by options."""

from __future__ import annotations

from innkeeper.core.plans import plans_from
from tests.api.bench import Bench
from tests.api.test_usage import use
from tests.cli.conftest import Run


async def test_budgets_are_set_and_shown(bench: Bench, inn: Run) -> None:
    await bench.tenant()
    bench.house.control.plans = plans_from({"gold": {"budget": {"day_usd": 3}}})
    assert (
        await inn("tenant", "update", "alice", "--plan", "gold", "--day-tokens", "1000", "--month-usd", "4.5")
    ).code == 0
    assert (await inn("tenant", "update", "alice", "--month-usd", "none", "--calls-per-minute", "30")).code == 0
    uses = (await inn("tenant", "show", "alice", "--json")).document["uses"]
    assert (uses["plan"], uses["calls_per_minute"]) == ("gold", 30)
    assert uses["budget"] == {"day_tokens": 1000, "month_tokens": None, "day_usd": None, "month_usd": None}
    await use(bench, tokens=850)
    told = await inn("usage", "alice")
    assert "853 tokens of 1000 tokens, 85.3 %" in told.out
    assert "1.50 USD of 3.00 USD, 50 %" in told.out
    assert (await inn("usage", "alice", "--json")).document["limits"][0]["used"] == 853
    assert (await inn("tenant", "update", "alice", "--plan", "none")).code == 0
    assert "plan            -" in (await inn("usage", "alice")).out


async def test_what_everybody_used(bench: Bench, inn: Run) -> None:
    assert (await inn("usage")).err == "Nothing has been used.\n"
    await bench.tenant("alice")
    await bench.tenant("bob")
    await use(bench, "alice")
    await use(bench, "bob", model="other")
    lines = (await inn("usage")).out.splitlines()
    assert [line.split()[:4] for line in lines[1:]] == [
        ["2026-11", "alice", "p", "m"],
        ["2026-11", "bob", "p", "other"],
    ]
    found = (await inn("usage", "--by", "day", "--model", "m", "--json")).document
    assert [(each["period"], each["tenant"]) for each in found] == [("2026-11-20", "alice")]
    found = (await inn("usage", "bob", "--by", "month", "--json")).document
    assert [each["tenant"] for each in found] == ["bob"]
    assert (await inn("usage", "--since", "yesterday")).code != 0


async def test_what_cant_be_set(bench: Bench, inn: Run) -> None:
    await bench.tenant()
    for option, value in (
        ("--day-tokens", "many"),
        ("--day-tokens", "1.5"),
        ("--day-usd", "inf"),
        ("--day-usd", "nan"),
    ):
        assert (await inn("tenant", "update", "alice", option, value)).code == 2
    assert (await inn("tenant", "update", "alice", "--day-tokens=-1")).code != 0
    assert (await inn("tenant", "update", "alice", "--plan", "silver")).code != 0
