"""The process dies between any two calls; whoever starts next ends where an undisturbed run would have ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.instance import State
from innkeeper.core.operations import Status
from innkeeper.core.specs import LimitsPatch, SpecPatch
from innkeeper.runtimes.memory_faults import Call, Fault, Mishap
from tests.support.house import House


class Death(BaseException):
    """The process dies: nothing may catch this."""


@dataclass(frozen=True)
class Story:
    """What is asked for, after what has gone well before."""

    name: str
    before: Callable[[House], Awaitable[object]]
    asked: Callable[[House], Awaitable[object]]


async def nothing(house: House) -> None:
    await house.record_release()


async def a_tenant(house: House) -> None:
    await house.create()
    await house.settle()


async def a_paused_tenant(house: House) -> None:
    await a_tenant(house)
    await house.control.sleep("alice", "pause", actor=SYSTEM)
    await house.settle()


async def a_stopped_tenant(house: House) -> None:
    await a_tenant(house)
    await house.control.sleep("alice", "stop", actor=SYSTEM)
    await house.settle()


BIGGER = SpecPatch(limits=LimitsPatch(memory_mb=256))

STORIES = [
    Story("provision", nothing, lambda house: house.create()),
    Story("restart", a_tenant, lambda house: house.control.restart("alice", actor=SYSTEM)),
    Story("update", a_tenant, lambda house: house.control.update("alice", BIGGER, actor=SYSTEM)),
    Story("update-paused", a_paused_tenant, lambda house: house.control.update("alice", BIGGER, actor=SYSTEM)),
    Story("pause", a_tenant, lambda house: house.control.sleep("alice", "pause", actor=SYSTEM)),
    Story("stop", a_tenant, lambda house: house.control.sleep("alice", "stop", actor=SYSTEM)),
    Story("stop-paused", a_paused_tenant, lambda house: house.control.sleep("alice", "stop", actor=SYSTEM)),
    Story("wake-paused", a_paused_tenant, lambda house: house.control.wake("alice", actor=SYSTEM)),
    Story("wake-stopped", a_stopped_tenant, lambda house: house.control.wake("alice", actor=SYSTEM)),
    Story("delete", a_tenant, lambda house: house.control.delete("alice", purge=False, actor=SYSTEM)),
    Story("delete-paused", a_paused_tenant, lambda house: house.control.delete("alice", purge=False, actor=SYSTEM)),
    Story("purge", a_tenant, lambda house: house.control.delete("alice", purge=True, actor=SYSTEM)),
    Story("purge-stopped", a_stopped_tenant, lambda house: house.control.delete("alice", purge=True, actor=SYSTEM)),
]

WORK = (Call.GET, Call.CREATE, Call.START, Call.STOP, Call.PAUSE, Call.UNPAUSE, Call.REMOVE, Call.PLACE)


async def outcome(house: House) -> dict[str, object]:
    """Everything that may be told from outside, without ids and times."""
    async with house.store.look() as tx:
        tenants = await tx.tenants()
        operations = await tx.operations()
    instances = await house.runtime.all()
    return {
        "tenants": [(t.name, t.revision, t.target, t.seen.state, t.seen.ready, t.seen.error) for t in tenants],
        "instances": [(i.tenant, i.state, i.revision) for i in instances],
        "operations": [(o.kind, o.status) for o in operations],
        "folders": sorted(house.units.folders),
    }


async def live_on(house: House) -> None:
    """A new process after the old one's leases have run out."""
    house.clock.turn(60)
    house.start("two")
    await house.settle()


async def undisturbed(story: Story) -> tuple[dict[str, object], dict[Call, int]]:
    house = House()
    await story.before(house)
    await story.asked(house)
    before = dict(house.runtime.calls)
    await house.settle()
    calls = {call: house.runtime.calls[call] - before.get(call, 0) for call in WORK}
    return await outcome(house), calls


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
async def test_a_crash_at_any_call_ends_in_the_same_place(story: Story) -> None:
    expected, calls = await undisturbed(story)
    assert any(calls.values())
    for call, times in calls.items():
        for nth in range(times):
            for mishap in (Mishap.BEFORE, Mishap.AFTER):
                house = House()
                await story.before(house)
                await story.asked(house)
                fault = Fault(mishap=mishap, error=Death)
                house.runtime.faults[call].extend([*_calm(nth), fault])
                with pytest.raises(Death):
                    await house.settle()
                await live_on(house)
                where = f"{call} number {nth + 1}, {mishap}"
                assert await outcome(house) == expected, where
                assert not house.runtime.violations, where


def _calm(count: int) -> list[Fault]:
    """So many calls that go well."""
    faults = [Fault(mishap=Mishap.HANG) for _ in range(count)]
    for fault in faults:
        fault.release.set()
    return faults


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
async def test_a_crash_at_any_write_ends_in_the_same_place(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for the store: each claim, record, release and erase, before and after it took effect."""
    expected, _ = await undisturbed(story)
    crashes = 0
    for method in ("claim", "record", "release", "erase"):
        for after in (False, True):
            for nth in range(12):
                house = House()
                await story.before(house)
                await story.asked(house)
                with monkeypatch.context() as patch:
                    died = _dies_at(patch, house.store, method, nth, after=after)
                    try:
                        await house.settle()
                    except Death:
                        crashes += 1
                if not died():
                    break
                await live_on(house)
                assert await outcome(house) == expected, f"{method} number {nth + 1}, after={after}"
                assert not house.runtime.violations
    assert crashes


def _dies_at(patch: pytest.MonkeyPatch, store: object, method: str, nth: int, *, after: bool) -> Callable[[], bool]:
    real, count, died = getattr(store, method), 0, False

    async def dying(*args: object, **kwargs: object) -> object:
        nonlocal count, died
        count += 1
        if count == nth + 1:
            died = True
            if after:
                await real(*args, **kwargs)
            raise Death
        if died:
            raise Death  # a dead process writes nothing more, not even to give a lease back
        return await real(*args, **kwargs)

    patch.setattr(store, method, dying)
    return lambda: died


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
async def test_a_runtime_that_stops_answering_only_delays(story: Story) -> None:
    expected, calls = await undisturbed(story)
    for call, times in calls.items():
        for nth in range(times):
            house = House()
            await story.before(house)
            await story.asked(house)
            house.runtime.faults[call].extend([*_calm(nth), Fault(mishap=Mishap.BEFORE)])
            with pytest.raises(Exception, match="not to answer"):
                await house.settle()
            async with house.store.look() as tx:
                waiting = await tx.operations(open_only=True)
            assert all(operation.error is not None for operation in waiting)
            await house.settle()
            assert await outcome(house) == expected


async def test_what_somebody_removed_by_hand_comes_back() -> None:
    house = House()
    await a_tenant(house)
    house.runtime.by_hand_remove("alice")
    await house.settle()
    assert (await house.runtime.get("alice")).state is State.RUNNING
    assert (await house.tenant()).seen.ready


async def test_operations_end_done() -> None:
    for story in STORIES:
        found, _ = await undisturbed(story)
        statuses = {status for _, status in found["operations"]}  # type: ignore[attr-defined]
        assert statuses == (set() if "purge" in story.name else {Status.DONE})
