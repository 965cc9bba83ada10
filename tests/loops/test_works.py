"""Works are carried out once each, one at a time for each name, and again after whatever ended the one at it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.boarding import NotYet
from innkeeper.core.errors import Conflict, TenantLeaving, UnknownTenant
from innkeeper.core.events import Event, OperationChanged
from innkeeper.core.operations import Operation, OperationKind, Status
from innkeeper.core.ports import LEASE_FOR, Lease
from innkeeper.core.works import RESULT, Tell, Work, Works
from innkeeper.loops.supervise import Supervisor
from innkeeper.loops.works import STUMBLED_AGAIN_S, WorkLoops
from innkeeper.store.memory import MemoryStore
from tests.support.house import House

pytestmark = pytest.mark.looptime

Body = Callable[[Operation, Tell], Awaitable[Mapping[str, Any]]]


class Job:
    """A work whose doing a test gives."""

    def __init__(self, kind: OperationKind, body: Body) -> None:
        self.kind = kind
        self._body = body

    async def carry_out(self, operation: Operation, tell: Tell) -> Mapping[str, Any]:
        return await self._body(operation, tell)


@pytest.fixture
async def house() -> House:
    house = House()
    await house.create()
    await house.create("bob")
    return house


def works_of(house: House) -> Works:
    return Works(store=house.store, bus=house.bus, clock=house.clock)


@asynccontextmanager
async def carrying_out(house: House, *jobs: Work, holder: str = "one", at_once: int = 2) -> AsyncIterator[WorkLoops]:
    loops = WorkLoops(jobs, store=house.store, bus=house.bus, clock=house.clock, holder=holder, at_once=at_once)
    supervisor = Supervisor()
    loops.start(supervisor)
    async with supervisor.running():
        yield loops
    assert not any(loop.restarts for loop in supervisor.loops.values()), "a loop fell"


async def over(house: House, operation: Operation) -> Operation:
    return await house.control.wait(operation.id, timeout_s=600)


async def test_a_work_is_carried_out_once_and_its_result_is_kept(house: House) -> None:
    times = 0

    async def save(operation: Operation, tell: Tell) -> Mapping[str, Any]:
        nonlocal times
        times += 1
        return {"saved": operation.detail["what"]}

    async with carrying_out(house, Job(OperationKind.BACKUP, save)):
        began = await works_of(house).begin(OperationKind.BACKUP, "alice", detail={"what": "all"}, actor=SYSTEM)
        ended = await over(house, began)
        await asyncio.sleep(60)
    assert (ended.status, ended.detail[RESULT], times) == (Status.DONE, {"saved": "all"}, 1)


async def test_what_it_keeps_is_found_by_whoever_carries_it_out_again(house: House) -> None:
    found: list[Mapping[str, Any]] = []
    inside = asyncio.Event()

    async def move(operation: Operation, tell: Tell) -> Mapping[str, Any]:
        found.append(operation.detail)
        if "phase" not in operation.detail:
            await tell.keep(phase="half")
            inside.set()
            await asyncio.Event().wait()
        return {}

    async with carrying_out(house, Job(OperationKind.RESTORE, move)):
        began = await works_of(house).begin(OperationKind.RESTORE, "alice", actor=SYSTEM)
        await inside.wait()
    async with carrying_out(house, Job(OperationKind.RESTORE, move), holder="two"):
        assert (await over(house, began)).status is Status.DONE
    assert found == [{}, {"phase": "half"}]


async def test_two_who_write_something_down_at_once_both_do(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    record, first = house.store.record_work, True

    async def slowly(lease: Lease, operation: Operation) -> None:
        nonlocal first
        took_s, first = (1.0 if first else 0.0), False
        await asyncio.sleep(took_s)
        await record(lease, operation)

    async def body(operation: Operation, tell: Tell) -> Mapping[str, Any]:
        monkeypatch.setattr(house.store, "record_work", slowly)
        await asyncio.gather(tell.keep(one=1), tell.keep(two=2))
        async with house.store.look() as tx:
            kept = await tx.operation(operation.id)
        assert kept
        return {"kept": {key: value for key, value in kept.detail.items() if key in ("one", "two")}}

    async with carrying_out(house, Job(OperationKind.EXPORT, body)):
        operation = await works_of(house).begin(OperationKind.EXPORT, "alice", actor=SYSTEM)
        ended = await house.control.wait(operation.id, timeout_s=60)
    assert ended.detail[RESULT] == {"kept": {"one": 1, "two": 2}}


async def test_its_progress_is_told_and_written_down(house: House) -> None:
    told: list[int] = []

    def listen(event: Event) -> None:
        if isinstance(event, OperationChanged) and event.operation.progress.step == "reading":
            told.append(event.operation.progress.done)

    house.bus.on_event(listen)

    async def read(operation: Operation, tell: Tell) -> Mapping[str, Any]:
        for done in range(100):
            tell.step("reading", done, 100)
            await asyncio.sleep(0.1)
        async with house.store.look() as tx:
            there = await tx.operation(operation.id)
        assert there is not None
        return {"seen": there.progress.done}

    async with carrying_out(house, Job(OperationKind.EXPORT, read)):
        ended = await over(house, await works_of(house).begin(OperationKind.EXPORT, "alice", actor=SYSTEM))
    assert ended.detail[RESULT]["seen"] >= 80
    assert 5 <= len(set(told)) <= 15, "about once a second, not at each step"


async def test_one_at_a_time_for_each_name_and_the_oldest_first(house: House) -> None:
    order: list[str] = []
    under_way: set[str] = set()

    async def save(operation: Operation, tell: Tell) -> Mapping[str, Any]:
        assert operation.tenant not in under_way
        under_way.add(operation.tenant)
        await asyncio.sleep(5)
        under_way.discard(operation.tenant)
        order.append(operation.detail["n"])
        return {}

    works = works_of(house)
    async with carrying_out(house, Job(OperationKind.BACKUP, save), at_once=5):
        begun = [
            await works.begin(OperationKind.BACKUP, name, detail={"n": f"{name}{n}"}, actor=SYSTEM)
            for n in range(3)
            for name in ("alice", "bob")
        ]
        for each in begun:
            await over(house, each)
    assert [each for each in order if each.startswith("a")] == ["alice0", "alice1", "alice2"]
    assert [each for each in order if each.startswith("b")] == ["bob0", "bob1", "bob2"]


async def test_two_control_planes_carry_it_out_once(house: House) -> None:
    times: list[str] = []

    def job(name: str) -> Job:
        async def save(operation: Operation, tell: Tell) -> Mapping[str, Any]:
            times.append(name)
            await asyncio.sleep(2 * LEASE_FOR.total_seconds())  # the lease is renewed meanwhile
            return {}

        return Job(OperationKind.BACKUP, save)

    async with carrying_out(house, job("one")), carrying_out(house, job("two"), holder="two"):
        ended = await over(house, await works_of(house).begin(OperationKind.BACKUP, "alice", actor=SYSTEM))
    assert ended.status is Status.DONE
    assert len(times) == 1


async def test_a_restore_doesnt_stand_behind_the_nights_backups(house: House) -> None:
    stay = asyncio.Event()

    async def save(operation: Operation, tell: Tell) -> Mapping[str, Any]:
        await stay.wait()
        return {}

    async def restore(operation: Operation, tell: Tell) -> Mapping[str, Any]:
        return {}

    works = works_of(house)
    jobs = Job(OperationKind.BACKUP, save), Job(OperationKind.RESTORE, restore)
    async with carrying_out(house, *jobs, at_once=1):
        backup = await works.begin(OperationKind.BACKUP, "alice", actor=SYSTEM)
        ended = await over(house, await works.begin(OperationKind.RESTORE, "bob", actor=SYSTEM))
        assert ended.status is Status.DONE
        stay.set()
        assert (await over(house, backup)).status is Status.DONE


async def test_a_problem_ends_it_and_a_fault_of_ours_too(house: House) -> None:
    async def refuse(operation: Operation, tell: Tell) -> Mapping[str, Any]:
        raise Conflict("There is something in the way.")

    async def fall(operation: Operation, tell: Tell) -> Mapping[str, Any]:
        raise RuntimeError("a secret-looking detail")

    works = works_of(house)
    async with carrying_out(house, Job(OperationKind.DRILL, refuse), Job(OperationKind.IMPORT, fall)):
        refused = await over(house, await works.begin(OperationKind.DRILL, "alice", actor=SYSTEM))
        fallen = await over(house, await works.begin(OperationKind.IMPORT, "alice", actor=SYSTEM))
    assert refused.error is not None
    assert (refused.status, refused.error.code) == (Status.FAILED, Conflict.code)
    assert fallen.error is not None
    assert (fallen.status, "secret-looking" in fallen.error.message) == (Status.FAILED, False)


async def test_one_that_must_wait_is_tried_again(house: House) -> None:
    times: list[float] = []

    async def save(operation: Operation, tell: Tell) -> Mapping[str, Any]:
        times.append(asyncio.get_running_loop().time())
        if len(times) < 3:
            raise NotYet("the target is busy", again_s=30)
        return {}

    async with carrying_out(house, Job(OperationKind.BACKUP, save)):
        began = await works_of(house).begin(OperationKind.BACKUP, "alice", actor=SYSTEM)
        await asyncio.sleep(10)
        waiting = await house.control.operation(began.id)
        assert (await over(house, began)).status is Status.DONE
    assert (waiting.status, waiting.progress.step) == (Status.RUNNING, "the target is busy")
    assert len(times) == 3


async def test_what_ends_while_the_store_is_away_is_done_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    times = 0

    async def save(operation: Operation, tell: Tell) -> Mapping[str, Any]:
        nonlocal times
        times += 1
        return {}

    async def away(self: MemoryStore, lease: object, operation: Operation) -> None:
        raise Conflict("The database doesn't answer.")

    monkeypatch.setattr(MemoryStore, "record_work", away)
    async with carrying_out(house, Job(OperationKind.BACKUP, save)):
        began = await works_of(house).begin(OperationKind.BACKUP, "alice", actor=SYSTEM)
        await asyncio.sleep(STUMBLED_AGAIN_S / 2)
        monkeypatch.undo()
        assert (await over(house, began)).status is Status.DONE
    assert times == 2


async def test_what_cant_be_written_down_isnt_done_over_and_over_at_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = 0

    async def save(operation: Operation, tell: Tell) -> Mapping[str, Any]:
        nonlocal times
        times += 1
        raise Conflict("no")

    async def cannot(lease: Lease, operation: Operation) -> None:
        raise UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed")

    monkeypatch.setattr(house.store, "record_work", cannot)
    async with carrying_out(house, Job(OperationKind.BACKUP, save)):
        await works_of(house).begin(OperationKind.BACKUP, "alice", actor=SYSTEM)
        await asyncio.sleep(STUMBLED_AGAIN_S * 2.9)
    assert times == 3


async def test_quiet_ends_what_is_under_way(house: House) -> None:
    ended: list[str] = []

    async def save(operation: Operation, tell: Tell) -> Mapping[str, Any]:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1)
            ended.append(operation.tenant)
        return {}

    async with carrying_out(house, Job(OperationKind.BACKUP, save)) as loops:
        began = await works_of(house).begin(OperationKind.BACKUP, "alice", actor=SYSTEM)
        await asyncio.sleep(1)
        await house.control.delete("alice", purge=True, actor=SYSTEM)
        async with carrying_out(house, holder="two") as others:
            assert not await others.quiet("alice"), "another control plane is at it"
        assert await loops.quiet("alice")
        assert ended == ["alice"]
        superseded = await over(house, began)
    assert superseded.error is not None
    assert superseded.error.code == "superseded"


async def test_none_is_begun_on_a_tenant_that_isnt_there_or_goes(house: House) -> None:
    works = works_of(house)
    with pytest.raises(UnknownTenant):
        await works.begin(OperationKind.BACKUP, "nobody", actor=SYSTEM)
    await house.control.delete("alice", purge=False, actor=SYSTEM)
    with pytest.raises(TenantLeaving):
        await works.begin(OperationKind.BACKUP, "alice", actor=SYSTEM)


async def test_the_trail_tells_of_it(house: House) -> None:
    began = await works_of(house).begin(OperationKind.EXPORT, "alice", detail={"secrets": False}, actor=SYSTEM)
    async with house.store.look() as tx:
        line = (await tx.trail())[-1][1]
    assert (line.action, line.tenant) == ("tenant.export", "alice")
    assert line.detail == {"operation": began.id, "secrets": False}
