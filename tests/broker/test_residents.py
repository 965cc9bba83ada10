"""Who lives where: addresses follow tenants, and a token is good for its tenant and generation alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from innkeeper.broker.callers import Caller
from innkeeper.broker.listener import BrokerListeners
from innkeeper.broker.residents import Residents
from innkeeper.core.access import SYSTEM
from innkeeper.keyring import Keyring
from innkeeper.loops.supervise import Supervisor
from tests.support.house import House
from tests.support.serving import free_port


@pytest.fixture
def house() -> House:
    return House()


async def nobody(*_: object) -> None:
    """An app that is never asked."""


@pytest.fixture
async def residents(house: House, tmp_path: Path) -> AsyncIterator[Residents]:
    keyring = Keyring.open(tmp_path)
    residents = Residents(directory=house.directory, runtime=house.runtime, tokens=keyring, bus=house.bus)
    listeners = BrokerListeners(nobody, port=free_port())
    supervisor = Supervisor()
    residents.start(supervisor, listeners)
    async with supervisor.running():
        yield residents
    await listeners.close()


async def found(residents: Residents, address: str, wanted: Caller | None) -> None:
    async with asyncio.timeout(5):
        while residents.find(address) != wanted:
            await asyncio.sleep(0)


async def test_addresses_follow_the_tenants(house: House, residents: Residents) -> None:
    await house.create("alice")
    await house.create("bob")
    places = {name: await house.runtime.place((await house.tenant(name)).slot) for name in ("alice", "bob")}
    for name, place in places.items():
        await found(residents, place.address, Caller(tenant=name, tenant_id=(await house.tenant(name)).id, epoch=1))
    await house.control.delete("alice", purge=True, actor=SYSTEM)
    await house.settle("alice")
    await found(residents, places["alice"].address, None)
    assert residents.find(places["bob"].address) is not None
    assert residents.find("127.0.0.1") is None
    await house.create("carol")
    await found(
        residents, places["alice"].address, Caller(tenant="carol", tenant_id=(await house.tenant("carol")).id, epoch=1)
    )


def test_a_token_is_good_for_its_tenant_and_generation_alone(house: House, tmp_path: Path) -> None:
    keyring = Keyring.open(tmp_path)
    residents = Residents(directory=house.directory, runtime=house.runtime, tokens=keyring, bus=house.bus)
    token = keyring.broker_token("tn_1", 1)
    assert residents.verify(token, "tn_1", 1)
    assert not residents.verify(token, "tn_1", 2)
    assert not residents.verify(token, "tn_2", 1)
    assert not residents.verify(keyring.gateway_token("tn_1", 1), "tn_1", 1)
    assert not residents.verify("ik_b_schl\u00fcssel", "tn_1", 1)
    assert not residents.verify("", "tn_1", 1)
