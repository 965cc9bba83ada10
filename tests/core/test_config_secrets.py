"""Secrets in agents' configs: rendered when an instance is made, anew when they change, named when missing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from innkeeper.core.access import ADMIN
from innkeeper.core.errors import Invalid, InvalidSpec
from innkeeper.core.operations import Operation
from innkeeper.core.specs import SpecPatch
from innkeeper.core.tenant import Tenant, Wanted
from innkeeper.loops.supervise import Supervisor
from tests.support.house import House

CONFIG = {"channels": {"telegram": {"token": "${secret:BOT}"}}}


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    await house.record_release()
    loops, supervisor = house.loops(), Supervisor()
    loops.start(supervisor)
    async with supervisor.running():
        yield house


async def created(house: House, **spec: object) -> Operation:
    """What became of it."""
    patch = SpecPatch(**spec)  # type: ignore[arg-type]
    _, operation = await house.control.create("alice", "plain", patch, actor=ADMIN)
    return await house.control.wait(operation.id, timeout_s=10)


def rendered(house: House) -> str:
    return house.units.folders["alice"]["plain.json"].decode()


async def settled(house: House) -> Tenant:
    """The tenant when its instance is that of its present revision, and ready."""
    with house.bus.subscribe() as events:
        while True:
            tenant = await house.control.tenant("alice")
            instance = await house.runtime.get("alice")
            if tenant.seen.ready and instance.revision >= tenant.remade_at:
                return tenant
            await events.get()


async def test_a_missing_secret_is_named_and_setting_it_goes_on(house: House) -> None:
    ended = await created(house, config=CONFIG)
    assert (ended.status, ended.error and ended.error.code) == ("failed", "secret_missing")
    assert "alice has no secret 'BOT'" in (ended.error.message if ended.error else "")
    assert not house.units.folders
    await house.vault.set("alice", "BOT", "12345:canary", actor=ADMIN)
    await settled(house)
    assert "12345:canary" in rendered(house)


async def test_a_new_value_reaches_the_agent_by_a_fresh_instance_and_nobody_else(house: House) -> None:
    await created(house)
    await house.vault.set("alice", "BOT", "one", actor=ADMIN)
    await house.vault.set("alice", "OTHER", "other", actor=ADMIN)
    before = await settled(house)
    assert before.revision == 1, "nothing refers to it"
    _, operation = await house.control.update("alice", SpecPatch(config=CONFIG), actor=ADMIN)
    await house.control.wait(operation.id, timeout_s=10)
    assert '"one"' in rendered(house)
    await house.vault.rotate("alice", "BOT", "two", actor=ADMIN)
    after = await settled(house)
    assert after.revision == 3
    assert '"two"' in rendered(house)
    assert "other" not in rendered(house)
    assert (await house.control.tenant("alice")).spec.config == CONFIG, "the spec never holds a value"


async def test_a_value_that_no_config_can_hold_takes_no_agent_down(house: House) -> None:
    await created(house)
    await house.vault.set("alice", "BOT", "one", actor=ADMIN)
    _, operation = await house.control.update("alice", SpecPatch(config=CONFIG), actor=ADMIN)
    await house.control.wait(operation.id, timeout_s=10)
    before = await settled(house)
    with pytest.raises(Invalid, match="BOT"):
        await house.vault.set("alice", "BOT", "two-${HOME}", actor=ADMIN)
    assert await house.control.tenant("alice") == before
    assert await house.vault.reveal("BOT", before) == "one"
    await house.vault.set("alice", "OTHER", "two-${HOME}", actor=ADMIN)  # nothing refers to it


async def test_who_sleeps_gets_it_on_waking(house: House) -> None:
    await created(house)
    await house.vault.set("alice", "BOT", "one", actor=ADMIN)
    _, operation = await house.control.update("alice", SpecPatch(config=CONFIG), wanted=Wanted.ASLEEP, actor=ADMIN)
    await house.control.wait(operation.id, timeout_s=10)
    await house.vault.set("alice", "BOT", "two", actor=ADMIN)
    _, operation = await house.control.wake("alice", actor=ADMIN)
    await house.control.wait(operation.id, timeout_s=10)
    await settled(house)
    assert '"two"' in rendered(house)


async def test_environment_is_no_place_for_a_secret(house: House) -> None:
    with pytest.raises(InvalidSpec) as refused:
        await house.control.create("bob", "plain", SpecPatch(env={"KEY": "x${secret:KEY}"}), actor=ADMIN)
    assert refused.value.field == "env"


@pytest.mark.parametrize("purge", [True, False])
async def test_a_purge_destroys_the_data_key_and_nothing_less_does(house: House, purge: bool) -> None:
    await created(house)
    tenant = await house.control.tenant("alice")
    await house.vault.set("alice", "BOT", "one", actor=ADMIN)
    _, operation = await house.control.delete("alice", purge=purge, actor=ADMIN)
    await house.control.wait(operation.id, timeout_s=10)
    assert house.data_keys.destroyed == ([tenant.id] if purge else [])
    async with house.store.look() as tx:
        assert not await tx.secrets.owners()
