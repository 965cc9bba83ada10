"""The broker as it is put together: the settings' providers, the tenants' own, and the vault behind both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from innkeeper.brokerage import brokerage
from innkeeper.core.access import SYSTEM
from innkeeper.core.ports import Secrets
from innkeeper.core.specs import SpecPatch
from innkeeper.core.tool_trail import ToolTrail
from innkeeper.keyring import Keyring
from innkeeper.loops.supervise import Supervisor
from innkeeper.settings import Settings
from tests.broker.house import CHAT, chat
from tests.support.fake_provider import FakeProvider, says
from tests.support.house import House
from tests.support.secrets import NamedSecrets
from tests.support.serving import free_port

HOUSE_KEY, OWN_KEY = "sk-house-0123456789", "sk-own-0123456789"


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "INNKEEPER_BROKER_PROVIDER", "INNKEEPER_BROKER_MODEL"):
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def alices_client(
    folder: Path, house: House, secrets: Secrets, **settings: Any
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client at alice's address, with her token."""
    keyring = Keyring.open(folder)
    made = brokerage(
        Settings(broker_port=free_port(), **settings),
        store=house.store,
        directory=house.directory,
        runtime=house.runtime,
        tokens=keyring,
        bus=house.bus,
        clock=house.clock,
        secrets=secrets,
        trail=ToolTrail(store=house.store, clock=house.clock, fingerprints=keyring),
        integrations=house.integrations,
    )
    supervisor = Supervisor()
    async with made as agency:
        agency.start(supervisor)
        async with supervisor.running(), asyncio.timeout(20):
            while (address := agency.residents.address_of("alice")) is None:
                await asyncio.sleep(0)
            tenant = await house.tenant("alice")
            transport = httpx2.ASGITransport(agency.broker, client=(address, 1))
            headers = {"authorization": f"Bearer {keyring.broker_token(tenant.id, tenant.token_epoch)}"}
            async with httpx2.AsyncClient(transport=transport, base_url="http://broker", headers=headers) as client:
                yield client


async def test_from_settings_and_spec_to_the_provider(tmp_path: Path, provider: tuple[FakeProvider, str]) -> None:
    fake, url = provider
    house, secrets = House(), NamedSecrets()
    secrets.put("HOUSE", HOUSE_KEY)
    secrets.put("OWN", OWN_KEY, tenant="alice")
    await house.create("alice")
    local = {"kind": "openai", "base_url": f"{url}/v1", "keys": ["${secret:HOUSE}"], "models": ["big", "small"]}
    api = {"kind": "http", "base_url": url, "keys": ["${secret:HOUSE}"]}
    async with alices_client(tmp_path, house, secrets, providers={"local": local, "api": api}) as client:
        assert (await client.post(CHAT, json=chat())).status_code == 200
        await house.control.update("alice", SpecPatch(uses={"models": ["small"]}), actor=SYSTEM)
        assert (await client.post(CHAT, json=chat())).status_code == 200
        refused = await client.post(CHAT, json=chat(model="big"))
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed")
        fake.script = says(b"{}", content_type="application/json")
        assert (await client.get("/http/api/x")).status_code == 200
        own = {**local, "keys": ["${secret:OWN}"]}
        await house.control.update("alice", SpecPatch(uses={"providers": {"mine": own}}), actor=SYSTEM)
        inside = await client.post(CHAT, json=chat(model="mine/small"))
        # What the operator writes may lead to this host; what a tenant writes may not.
        assert (inside.status_code, inside.json()["error"]["code"]) == (403, "destination_refused")
    assert [asked.headers["authorization"] for asked in fake.asked] == [f"Bearer {HOUSE_KEY}"] * 3
    assert [asked.body["model"] for asked in fake.asked[:2]] == ["big", "small"]


async def test_a_tenants_own_provider_where_its_host_is_named(
    tmp_path: Path, provider: tuple[FakeProvider, str]
) -> None:
    fake, url = provider
    house, secrets = House(), NamedSecrets()
    secrets.put("OWN", OWN_KEY, tenant="alice")
    own = {"kind": "openai", "base_url": f"{url}/v1", "keys": ["${secret:OWN}"], "models": ["m"]}
    await house.create("alice", SpecPatch(uses={"providers": {"mine": own}}))
    async with alices_client(tmp_path, house, secrets, private_hosts=[url.removeprefix("http://")]) as client:
        assert (await client.post(CHAT, json=chat())).status_code == 200
    assert [asked.headers["authorization"] for asked in fake.asked] == [f"Bearer {OWN_KEY}"]


async def test_without_a_vault_the_settings_own_keys_still_serve(
    tmp_path: Path, provider: tuple[FakeProvider, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, url = provider
    monkeypatch.setenv("OPENAI_API_KEY", HOUSE_KEY)
    house = House()
    await house.create("alice")
    async with alices_client(tmp_path, house, NamedSecrets(), openai_base_url=f"{url}/v1", broker_model="m") as client:
        assert (await client.post(CHAT, json=chat())).status_code == 200
    assert (fake.asked[0].headers["authorization"], fake.asked[0].body["model"]) == (f"Bearer {HOUSE_KEY}", "m")
