"""The slow chores."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from innkeeper.core.messages import MessageState
from innkeeper.loops.housekeeping import Housekeeping
from tests.store.examples import message
from tests.support.house import House


async def test_delivered_messages_are_forgotten_after_their_time_and_dead_ones_are_not() -> None:
    house = House()
    await house.create()
    tenant, now = await house.tenant(), house.clock.now()
    chores = Housekeeping(
        store=house.store, runtime=house.runtime, directory=house.directory, bus=house.bus, clock=house.clock,
        operations_kept=timedelta(days=1), messages_kept=timedelta(days=7),
    )  # fmt: skip
    async with house.store.begin() as tx:
        for number, state in enumerate((MessageState.DELIVERED, MessageState.DEAD)):
            ended = message("alice", number, tenant_id=tenant.id, state=state, ended_at=now)
            await tx.messages.add(replace(ended, received_at=now), b"")
    house.clock.turn(6 * 86400)
    await chores.forget()
    assert len(await house.inbox.page("alice")) == 2
    house.clock.turn(2 * 86400)
    await chores.forget()
    assert [each.state for each in await house.inbox.page("alice")] == [MessageState.DEAD]
