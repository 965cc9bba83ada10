"""What those who wait are told: how far the tenant is, in words that give nothing away."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

import pytest

from innkeeper.core import errors
from innkeeper.core.access import SYSTEM, digest
from innkeeper.core.door import Door
from innkeeper.core.events import TenantChanged
from innkeeper.core.instance import State
from innkeeper.core.ladder import Rung
from innkeeper.core.tenant import Limits, Seen, Spec, Tenant, Wanted
from innkeeper.core.waking import WakeState, WakeStep, is_near, step_of
from tests.support.house import House

pytestmark = pytest.mark.looptime


def tenant(state: State, *, rung: Rung = Rung.RUNNING, wanted: Wanted = Wanted.AUTO) -> Tenant:
    return Tenant(
        id="t_alice",
        name="alice",
        spec=Spec(agent="plain", release="1", image="sha256:0", limits=Limits(memory_mb=64, cpus=1)),
        slot=0,
        created_at=datetime(2026, 11, 20, tzinfo=UTC),
        rung=rung,
        wanted=wanted,
        seen=Seen(state=state, ready=state is State.RUNNING),
    )


@pytest.mark.parametrize(
    ("alice", "hints", "step"),
    [
        (tenant(State.STOPPED, rung=Rung.STOPPED), set(), WakeStep.RESTING),
        (tenant(State.STOPPED, rung=Rung.STOPPED), {"roused"}, WakeStep.START),
        (tenant(State.STOPPED), set(), WakeStep.START),
        (tenant(State.ABSENT), set(), WakeStep.START),
        (tenant(State.PAUSED), set(), WakeStep.START),
        (tenant(State.STOPPED), {"queued"}, WakeStep.TURN),
        (tenant(State.STOPPED), {"crowded"}, WakeStep.NO_ROOM),
        (tenant(State.STARTING), set(), WakeStep.ANSWER),
        (tenant(State.RUNNING), {"roused", "queued", "crowded"}, WakeStep.READY),
        (tenant(State.RUNNING, rung=Rung.PAUSED), set(), WakeStep.RESTING),
        (tenant(State.FAILED), {"roused"}, WakeStep.FAILED),
        (tenant(State.STOPPED, wanted=Wanted.ASLEEP), {"roused"}, WakeStep.ORDERED),
        (tenant(State.RUNNING, wanted=Wanted.ASLEEP), {"roused"}, WakeStep.ORDERED),
    ],
)
def test_where_it_is(alice: Tenant, hints: set[str], step: WakeStep) -> None:
    said = {name: name in hints for name in ("roused", "queued", "crowded")}
    assert step_of(alice, **said) is step


def test_every_step_belongs_to_a_state_and_no_state_is_without() -> None:
    assert {step.state for step in WakeStep} == set(WakeState)


def test_only_what_needs_no_more_than_a_thaw_is_near() -> None:
    assert {state for state in State if is_near(tenant(state))} == {State.PAUSED, State.RUNNING}


def door(house: House, positions: Mapping[str, tuple[int, int]] = MappingProxyType({})) -> Door:
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
        position=positions.get,
        usual_s=lambda lay: {Rung.PAUSED: 0.1, Rung.STOPPED: 9.0}.get(lay.rung),
    )


@pytest.fixture
async def house() -> House:
    """Alice sleeps, stopped."""
    house = House()
    await house.create()
    await house.settle()
    await house.control.sleep("alice", "stop", actor=SYSTEM)
    await house.settle()
    return house


async def test_from_bed_to_door(house: House) -> None:
    positions: dict[str, tuple[int, int]] = {}
    the_door = door(house, positions)
    told = the_door.progress(await house.tenant())
    assert (told.step, told.elapsed_s, told.usual_s) == (WakeStep.RESTING, 0, None)

    with house.bus.subscribe() as events:
        the_door.wake(await house.tenant())
        assert the_door.progress(await house.tenant()).step is WakeStep.START, "before it is written down"
        while not isinstance(await events.get(), TenantChanged):
            pass
    positions["alice"] = (2, 5)
    told = the_door.progress(await house.tenant())
    assert (told.step, told.position) == (WakeStep.TURN, (2, 5))

    positions.clear()
    house.prober.answer = None
    await asyncio.sleep(3)
    told = the_door.progress(await house.tenant())
    assert (told.step, told.position) == (WakeStep.START, None)
    assert told.elapsed_s == pytest.approx(3, abs=0.1)  # of virtual time
    assert told.usual_s == 9, "as it usually is from where it lay"

    house.prober.answer = (200, b"{}")
    await house.settle()
    assert the_door.progress(await house.tenant()).step is WakeStep.READY


async def test_asking_wakes_nobody_and_counts_as_no_use(house: House) -> None:
    the_door, alice = door(house), await house.tenant()
    active = house.directory.last_activity(alice)
    for _ in range(3):
        the_door.progress(alice)
        await asyncio.sleep(1)
    assert (await house.tenant()).rung is Rung.STOPPED
    assert house.directory.last_activity(alice) == active


async def test_who_leaves_is_nobody(house: House) -> None:
    await house.control.delete("alice", purge=True, actor=SYSTEM)
    with pytest.raises(errors.UnknownTenant):
        door(house).progress(await house.tenant())
