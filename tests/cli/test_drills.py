"""Drills by the command line."""

from __future__ import annotations

from pathlib import Path

from innkeeper.core.instance import Execution
from tests.api.bench import Bench
from tests.cli.conftest import Run
from tests.support.drills import Range


async def test_run_one_and_list_them(inn: Run, bench: Bench, tmp_path: Path) -> None:
    await bench.tenant("alice")
    range_ = Range(folder=tmp_path, house=bench.house)
    assert "No snapshot was drilled yet" in (await inn("drill", "list")).err
    async with range_.carrying_out():
        nothing = await inn("drill", "run", "alice")
        assert (nothing.code, "has no snapshot yet" in nothing.err) == (1, True)
        snapshot = await range_.snapshot()
        range_.room.answer = lambda drill, blueprint: Execution(exit_code=0, output=b"2")
        said = await inn("drill", "run", "alice", "--snapshot", snapshot[:12])
        assert said.code == 0, said.err
        assert said.out == f"the snapshot {snapshot[:8]} of alice is proven: plain 1.0, 2 sessions\n"
        shown = (await inn("tenant", "show", "alice")).out.splitlines()
        [proven] = [line for line in shown if line.startswith("last proven restore ")]
        assert proven.endswith(" ago")
        range_.damage(await range_.tenant())
        failed = await inn("drill", "run", "alice")
        assert (failed.code, "It failed at" in failed.err) == (1, True)
    assert " ago; a drill failed " in (await inn("tenant", "show", "alice")).out
    listed = (await inn("drill", "list", "--json")).document
    assert [drill["outcome"] for drill in listed] == ["failed", "proven"]
    table = (await inn("drill", "list", "alice")).out
    assert snapshot[:8] in table
    begun = await inn("drill", "run", "alice", "--no-wait")
    assert "has begun: op_" in begun.out
    assert (await inn("drill", "run", "nobody")).code == 3
