"""Waking for requests: once however many ask, and every waiter gets exactly one answer."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from innkeeper.core import errors
from innkeeper.core.access import ADMIN, SYSTEM, digest
from innkeeper.core.activate import Activator, is_open
from innkeeper.core.closing import Closing
from innkeeper.core.closing_errors import TenantClosed
from innkeeper.core.door import Door
from innkeeper.core.events import StateChanged, TenantChanged
from innkeeper.core.instance import State
from innkeeper.core.specs import SpecPatch
from innkeeper.core.tenant import Access, Wanted
from innkeeper.runtimes.memory_faults import Call
from tests.support.house import House

pytestmark = pytest.mark.looptime


@pytest.fixture
async def house() -> House:
    house = House()
    await house.create()
    await house.settle()
    return house


def reconcile_when_roused(house: House) -> asyncio.Task[None]:
    async def work() -> None:
        with house.bus.subscribe() as events:
            while not isinstance(await events.get(), TenantChanged):
                pass
        await house.settle()

    return asyncio.create_task(work())


async def test_a_thousand_requests_at_one_sleeper_are_one_start(house: House) -> None:
    await house.control.sleep("alice", "stop", actor=SYSTEM)
    await house.settle()
    starts = house.runtime.calls[Call.START]
    activator = Activator(directory=house.directory, rouse=house.rungs.rouse, hold_limit=1000)
    worker = reconcile_when_roused(house)
    await asyncio.sleep(0)
    tenants = await asyncio.gather(*(activator.ready("alice", deadline_s=30) for _ in range(1000)))
    await worker
    assert {tenant.name for tenant in tenants} == {"alice"}
    assert house.runtime.calls[Call.START] == starts + 1
    assert activator.waiting("alice") == 0


async def test_too_many_waiters_are_refused_at_once(house: House) -> None:
    house.prober.answer = None
    await house.control.restart("alice", actor=SYSTEM)
    activator = Activator(directory=house.directory, rouse=house.rungs.rouse, hold_limit=10)
    waiting = [asyncio.create_task(activator.ready("alice", deadline_s=5)) for _ in range(10)]
    await asyncio.sleep(0)
    with pytest.raises(errors.TenantNotReady, match="Too many"):
        await activator.ready("alice", deadline_s=5)
    assert asyncio.get_running_loop().time() < 1
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {errors.TenantNotReady}
    assert activator.waiting("alice") == 0


async def test_waiters_hear_of_a_failure_at_once(house: House) -> None:
    house.prober.answer = None
    await house.control.restart("alice", actor=SYSTEM)
    waiting = asyncio.create_task(house.activator.ready("alice", deadline_s=30))
    await asyncio.sleep(1)

    async def nap(seconds: float) -> None:
        house.runtime.crash("alice", exit_code=78)

    await house.reconciler.work("alice", nap)
    with pytest.raises(errors.TenantFailed):
        await waiting
    assert asyncio.get_running_loop().time() < 5


async def test_a_tenant_deleted_meanwhile_is_unknown(house: House) -> None:
    await house.control.sleep("alice", "stop", actor=SYSTEM)
    await house.settle()
    waiting = asyncio.create_task(house.activator.ready("alice", deadline_s=30))
    await asyncio.sleep(0)
    await house.control.delete("alice", purge=True, actor=SYSTEM)
    with pytest.raises(errors.UnknownTenant):
        await waiting


async def test_what_sleeps_by_order_isnt_woken_by_requests(house: House) -> None:
    await house.control.update("alice", SpecPatch(), wanted=Wanted.ASLEEP, actor=SYSTEM)
    await house.settle()
    with pytest.raises(errors.TenantAsleep):
        await house.activator.ready("alice", deadline_s=30)
    assert (await house.tenant()).seen.state is State.STOPPED


async def test_whoever_comes_to_a_closed_tenant_hears_so_at_once(house: House) -> None:
    activator = Activator(directory=house.directory, rouse=house.rungs.rouse, hold_limit=10)
    house.prober.answer = None
    await house.control.restart("alice", actor=SYSTEM)
    waiting = asyncio.create_task(activator.ready("alice", deadline_s=300))
    await asyncio.sleep(1)
    await Closing(store=house.store, runtime=house.runtime, bus=house.bus).close("alice", "op_1")
    async with asyncio.timeout(1):
        with pytest.raises(TenantClosed, match="restored"):
            await waiting
        with pytest.raises(TenantClosed):
            await activator.ready("alice", deadline_s=300)
    tenant = await house.tenant()
    assert not is_open(replace(tenant, seen=replace(tenant.seen, ready=True, state=State.RUNNING)))


async def test_a_waiter_that_leaves_takes_nobody_with_it(house: House) -> None:
    await house.control.sleep("alice", "stop", actor=SYSTEM)
    await house.settle()
    worker = reconcile_when_roused(house)
    await asyncio.sleep(0)
    impatient = asyncio.create_task(house.activator.ready("alice", deadline_s=30))
    patient = asyncio.create_task(house.activator.ready("alice", deadline_s=30))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).name == "alice"
    await worker


async def asleep(house: House) -> None:
    await house.control.sleep("alice", "stop", actor=SYSTEM)
    await house.settle()


async def roused(house: House) -> None:
    """Return when it is written down that alice should run."""
    with house.bus.subscribe() as events:
        while (await house.tenant()).target is not State.RUNNING:
            await events.get()


async def test_a_launch_goes_on_though_nobody_waits_and_is_one_start_however_many_ask(house: House) -> None:
    await asleep(house)
    starts = house.runtime.calls[Call.START]
    worker = reconcile_when_roused(house)
    await asyncio.sleep(0)
    for _ in range(1000):
        house.activator.launch("alice")
    assert house.activator.departure("alice") is not None
    assert house.activator.waiting("alice") == 0
    await worker
    assert (await house.tenant()).seen.ready
    assert house.runtime.calls[Call.START] == starts + 1
    assert house.activator.departure("alice") is None, "it has landed"


async def test_a_wake_is_written_down_though_its_only_waiter_leaves_at_once(house: House) -> None:
    await asleep(house)
    waiting = asyncio.create_task(house.activator.ready("alice", deadline_s=30))
    await asyncio.sleep(0)
    waiting.cancel()
    await roused(house)


async def test_who_is_put_back_to_sleep_is_woken_again_only_for_those_who_hold(house: House) -> None:
    house.prober.answer = None
    await asleep(house)
    house.activator.launch("alice")
    await roused(house)
    await asyncio.sleep(0)
    await house.control.sleep("alice", "stop", actor=SYSTEM)
    assert house.activator.departure("alice") is None, "only a page was open for it"

    waiting = asyncio.create_task(house.activator.ready("alice", deadline_s=30))
    for _ in range(2):
        await roused(house)
        await asyncio.sleep(0)
        await house.control.sleep("alice", "stop", actor=SYSTEM)
    await roused(house)
    waiting.cancel()


async def test_a_launch_that_leads_nowhere_leaves_nothing_behind(house: House) -> None:
    house.activator.launch("nobody")
    await house.control.update("alice", SpecPatch(), wanted=Wanted.ASLEEP, actor=SYSTEM)
    await house.settle()
    house.activator.launch("alice")
    assert house.activator.departure("alice") is house.activator.departure("nobody") is None
    await asyncio.sleep(0)
    assert (await house.tenant()).wanted is Wanted.ASLEEP


async def test_what_couldnt_be_written_down_is_told_and_tried_again_by_the_next(house: House) -> None:
    await asleep(house)
    troubles = [errors.RuntimeUnavailable("the store is away")]

    async def rouse(name: str) -> None:
        if troubles:
            raise troubles.pop()
        await house.rungs.rouse(name)

    activator = Activator(directory=house.directory, rouse=rouse, hold_limit=10)
    with pytest.raises(errors.RuntimeUnavailable):
        await activator.ready("alice", deadline_s=30)
    activator.launch("alice")
    await roused(house)


async def test_the_last_wakes_are_written_down_before_the_end(house: House) -> None:
    await asleep(house)
    waiting = asyncio.create_task(house.activator.ready("alice", deadline_s=30))
    await asyncio.sleep(0)
    await house.activator.close()
    assert (await house.tenant()).target is State.RUNNING
    with pytest.raises(errors.TenantNotReady):
        await waiting


def door(house: House) -> Door:
    return Door(
        directory=house.directory,
        identities=house.identities,
        tickets=house.people.tickets,
        activator=house.activator,
        seating=house.seating,
        runtime=house.runtime,
        clock=house.clock,
        admin_digest=digest("ik_a_secret"),
        deadline_s=30,
    )


async def test_the_door_knows_hosts_keys_and_the_way_in(house: House) -> None:
    alice_door, tenant = door(house), await house.tenant()
    _, secret = await house.keys.create("alice", "laptop", actor=SYSTEM)
    assert alice_door.find("alice.localhost") == tenant
    for host in ("", "localhost", "bob.localhost", "x.alice.localhost", "alice.localhost.evil.com", ".localhost"):
        assert alice_door.find(host) is None, host
    assert alice_door.identify("ik_a_secret") == ADMIN
    assert alice_door.identify("ik_a_secreT") is None
    actor = alice_door.identify(secret)
    assert actor is not None
    assert alice_door.admits(actor, tenant)
    assert not alice_door.admits(None, tenant)
    assert alice_door.upstream(tenant) is None
    upstream = await alice_door.enter(tenant)
    assert upstream == alice_door.upstream(tenant)
    assert (b"authorization", f"Bearer gateway-{tenant.id}-1".encode()) in upstream.headers


async def test_a_key_opens_its_own_tenants_door_only(house: House) -> None:
    await house.create("bob")
    _, secret = await house.keys.create("bob", "laptop", actor=SYSTEM)
    alice_door = door(house)
    bob = alice_door.identify(secret)
    assert bob is not None
    assert not alice_door.admits(bob, await house.tenant("alice"))


async def test_an_open_door_hands_no_credential_to_strangers(house: House) -> None:
    await house.control.update("alice", SpecPatch(access=Access.OPEN), actor=SYSTEM)
    await house.settle()
    tenant = await house.tenant()
    alice_door = door(house)
    assert alice_door.admits(None, tenant)
    assert not any(name == b"authorization" for name, _ in (await alice_door.enter(tenant)).headers)


@pytest.mark.parametrize(("own_s", "within_s", "waited"), [(None, None, "30 s"), (90, None, "90 s"), (90, 1, "1 s")])
async def test_a_tenants_own_deadline_holds_at_the_door(
    house: House, own_s: float | None, within_s: float | None, waited: str
) -> None:
    house.prober.answer = None
    await house.control.update("alice", SpecPatch(sleep={"wake_deadline_s": own_s}), actor=SYSTEM)
    await asleep(house)
    with pytest.raises(errors.TenantNotReady, match=f"within {waited}"):
        await door(house).enter(await house.tenant(), within_s=within_s)


async def test_what_sleeps_has_no_upstream(house: House) -> None:
    alice_door = door(house)
    await alice_door.enter(await house.tenant())
    await house.control.sleep("alice", "pause", actor=SYSTEM)
    assert alice_door.upstream(await house.tenant()) is None, "from the moment that it is to sleep"


async def test_the_directory_repairs_what_it_missed(house: House) -> None:
    fresh = House()
    fresh.store, fresh.clock = house.store, house.clock
    fresh.start()
    assert len(fresh.directory) == 0
    await fresh.directory.load()
    assert [tenant.name for tenant in fresh.directory] == ["alice"]
    async with house.store.begin() as tx:
        await tx.drop_tenant("alice", (await house.tenant()).id)
    await fresh.directory.load()
    assert len(fresh.directory) == 0


async def test_the_bus_drops_for_slow_listeners_rather_than_grow(house: House) -> None:
    tenant = await house.tenant()
    with house.bus.subscribe(size=2) as slow:
        for _ in range(5):
            house.bus.publish(StateChanged(tenant="alice", now=tenant, before=State.ABSENT))
        assert slow.dropped == 3
