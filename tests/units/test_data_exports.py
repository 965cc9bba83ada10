"""A person's data as one file: all of it, readable by programs, and no secret's value."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from innkeeper.core.access import ADMIN, SYSTEM, TenantRole
from innkeeper.core.egress import AskedName
from innkeeper.core.exports import Wish
from innkeeper.core.integration import Connection
from innkeeper.core.messages import Payload
from innkeeper.core.openings import InboxPath
from innkeeper.core.operations import Status
from innkeeper.core.people import Member, User
from innkeeper.core.specs import SpecPatch
from innkeeper.core.usage import Counts, Tokens, UsageKey, UsageRow
from innkeeper.core.works import RESULT
from innkeeper.units.layout import FolderUnits
from innkeeper.units.places import FolderTraces
from tests.api.bench import data_exports_of
from tests.support.house import House
from tests.units.test_exports import SECRET, carrying_out, members, persistence

HEADERS = (("content-type", "application/json"), ("x-telegram-bot-api-secret-token", "of the sender"))


@pytest.fixture
async def house(tmp_path: Path) -> House:
    house = House(units=FolderUnits(tmp_path / "tenants", owner_uid=os.geteuid(), owner_gid=os.getegid()))  # type: ignore[arg-type]
    await house.create()
    await house.vault.set("alice", "BOT", SECRET, actor=SYSTEM)
    config = {"channels": {"bot": {"token": "${secret:BOT}"}}}
    patch = SpecPatch(config=config, env={"PASSWORD": "of the environment"})
    await house.control.update("alice", patch, actor=ADMIN)
    await house.settle()
    (persistence(tmp_path) / "workspace").mkdir()
    (persistence(tmp_path) / "workspace" / "SOUL.md").write_text("I am alice's.")
    return house


async def exported(house: House, data: Path) -> dict[str, bytes]:
    exports = data_exports_of(house, data)
    async with carrying_out(house, exports):
        began = await exports.begin("alice", Wish(), actor=ADMIN)
        ended = await house.control.wait(began.id, timeout_s=600)
    assert ended.status is Status.DONE, ended.error
    path, called = await exports.fetch("alice", began.id, actor=ADMIN)
    assert called == path.name == ended.detail[RESULT]["file"]
    assert called.startswith("alice-data-")
    return members(path.read_bytes())


def document(found: dict[str, bytes], name: str) -> Any:
    return json.loads(found[f"alice/data/{name}"])


def lines(found: dict[str, bytes], name: str) -> list[Any]:
    return [json.loads(line) for line in found[f"alice/data/{name}"].splitlines()]


async def known(house: House) -> None:
    """Something of every kind, of her and of somebody else."""
    await house.create("bob")
    now = house.clock.now()
    async with house.store.begin() as tx:
        await tx.people.add_user(User(id="usr_1", mail="alice@example.com", name="Alice", created_at=now))
        for name in ("alice", "bob"):
            of = await tx.tenant(name)
            assert of is not None
            role = TenantRole.OWNER
            await tx.people.put_member(Member(user="usr_1", tenant=name, tenant_id=of.id, role=role, created_at=now))
            await tx.integrations.put(
                Connection(id=f"int_{name}", tenant=name, tenant_id=of.id, integration="google", connected_by="usr_1",
                           connected_as="alice@example.com", connected_at=now, scopes=("mail",))
            )  # fmt: skip
            asked = AskedName(name=f"{name}.example.com", first_seen=now, last_seen=now, asked=1, refused=0)
            await tx.asked_names.add(name, of.id, [asked], keep=10)
            counts = Counts(calls=2, tokens=Tokens(input=10, output=5), micro_usd=7)
            await tx.usage.add(
                [UsageRow(key=UsageKey(of.id, "2026-11-20", "p", f"m-{name}"), tenant=name, counts=counts)]
            )
    for name in ("alice", "bob"):
        of = await house.tenant(name)
        await house.keys.create(name, f"{name}'s phone", actor=ADMIN)
        at = InboxPath(path="/hooks/x", id="body")
        for body in (f"hello {name} ü".encode(), b"\xff\xfe"):
            await house.inbox.accept(name, of.id, at, Payload(method="POST", query="a=1", headers=HEADERS, body=body))


async def test_it_holds_all_that_is_kept(house: House, tmp_path: Path) -> None:
    await known(house)
    found = await exported(house, tmp_path)
    assert found["alice/files/workspace/SOUL.md"] == b"I am alice's."
    readme = found["alice/README.txt"].decode()
    for name in found:
        if name.startswith("alice/data/"):
            assert name.removeprefix("alice/") in readme
    tenant = document(found, "tenant.json")
    assert (tenant["name"], tenant["spec"]["agent"]) == ("alice", "plain")
    assert tenant["spec"]["env"] == {"PASSWORD": None}
    people = document(found, "people.json")
    assert [(each["mail"], each["role"]) for each in people["members"]] == [("alice@example.com", "owner")]
    assert [each["name"] for each in people["keys"]] == ["alice's phone"]
    assert [each["name"] for each in document(found, "secrets.json")] == ["BOT"]
    assert [each["scopes"] for each in document(found, "integrations.json")] == [["mail"]]
    assert [each["name"] for each in document(found, "asked_names.json")] == ["alice.example.com"]
    assert [(each["model"], each["tokens"]["input"]) for each in lines(found, "usage.jsonl")] == [("m-alice", 10)]
    text, binary = lines(found, "messages.jsonl")
    assert text["payload"]["body"] == "hello alice ü"
    assert text["payload"]["headers"] == [["content-type", "application/json"], [HEADERS[1][0], None]]
    assert binary["payload"]["body_base64"] == "//4="
    actions = [each["action"] for each in lines(found, "trail.jsonl")]
    assert actions[:2] == ["tenant.create", "secret.set"]
    assert {each["kind"] for each in lines(found, "operations.jsonl")} >= {"provision", "export_data"}


async def test_no_secret_and_nothing_of_anybody_else_is_in_it(house: House, tmp_path: Path) -> None:
    await known(house)
    tenant = await house.tenant()
    config = (persistence(tmp_path) / "plain.json").read_text()
    assert SECRET in config
    assert f"gateway-{tenant.id}-1" in config
    found = await exported(house, tmp_path)
    everything = b"".join(found.values())
    for secret in (SECRET, f"gateway-{tenant.id}-1", f"broker-{tenant.id}-1", "of the environment", "of the sender"):
        assert secret.encode() not in everything, secret
    assert b"bob" not in everything
    assert b"left-out" in found["alice/files/plain.json"]
    assert SECRET in (persistence(tmp_path) / "plain.json").read_text()


async def test_it_is_asked_for_and_fetched_in_the_trail(house: House, tmp_path: Path) -> None:
    await exported(house, tmp_path)
    async with house.store.look() as tx:
        actions = [line.action for _, line in await tx.trail(tenant="alice")]
    assert actions[-2:] == ["tenant.export_data", "tenant.export.fetched"]


async def test_a_purge_takes_what_was_exported_along(house: House, tmp_path: Path) -> None:
    house.traces = [FolderTraces(tmp_path / "exports", "exports")]
    house.start()
    await exported(house, tmp_path)
    assert any((tmp_path / "exports").iterdir())
    await house.control.delete("alice", purge=True, actor=ADMIN)
    await house.settle()
    assert not any((tmp_path / "exports").iterdir())
