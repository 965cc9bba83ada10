"""The way out by the command line."""

from __future__ import annotations

from tests.api.bench import Bench
from tests.api.test_egress import asked
from tests.cli.conftest import Run


async def test_learn_look_and_list(inn: Run, bench: Bench) -> None:
    await bench.tenant("alice")
    assert "asked for no names" in (await inn("egress", "show", "alice")).err
    assert (await inn("egress", "set", "alice", "--mode", "learn")).code == 0
    await asked(bench, "api.example.com", "www.example.com", "_sip._udp.example.com", "printer")
    shown = await inn("egress", "show", "alice")
    assert shown.out.splitlines()[0].split() == ["mode", "learn"]
    assert "www.example.com" in shown.out
    listed = await inn("egress", "set", "alice", "--allow", "*.Example.net", "--allow-learned", "--json")
    assert listed.document["names"] == [
        "*.example.net", "_sip._udp.example.com", "api.example.com", "www.example.com"
    ]  # fmt: skip
    assert listed.document["mode"] == "learn"
    assert "printer" in listed.err, "what can't be listed is said"
    less = await inn("egress", "set", "alice", "--remove", "WWW.example.com.", "--json")
    assert "www.example.com" not in less.document["names"]
    assert (await inn("egress", "forget", "alice")).code == 2, "it asks"
    assert (await inn("egress", "forget", "alice", "--yes")).out == "4 names are forgotten\n"


async def test_what_makes_no_sense(inn: Run, bench: Bench) -> None:
    await bench.tenant("alice")
    assert (await inn("egress", "set", "alice")).code == 2
    assert (await inn("egress", "set", "alice", "--mode", "closed")).code == 2
    assert (await inn("egress", "set", "alice", "--allow", "10.0.0.1")).code == 2
    assert (await inn("egress", "show", "nobody")).code == 3
