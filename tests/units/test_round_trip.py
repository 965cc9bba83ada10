"""What one house exports, another takes in: the same files, settings and memory of what was delivered."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pyrage
import pytest

from innkeeper.cli.age_file import plain_pieces
from innkeeper.core.access import SYSTEM
from innkeeper.core.adoption import Asked, Seed
from innkeeper.core.delivery import delivery_of
from innkeeper.core.exports import Wish
from innkeeper.core.goods import Goods
from innkeeper.core.operations import Operation, Status
from innkeeper.core.pack_errors import HydrationUnreadable
from innkeeper.core.ports.exports import Lock
from innkeeper.core.specs import SpecPatch
from innkeeper.core.works import RESULT
from innkeeper.loops.supervise import Supervisor
from innkeeper.loops.works import WorkLoops
from tests.api.bench import exports_of, restores_of
from tests.support.arriving import hospitable, importing_of, open_house
from tests.support.house import House
from tests.support.packs import packs_for

TOKEN = "123456789:of-the-bot-alone-and-nobody-else"
AT = "2026-11-20T12:00:00+00:00"
WORDS = "four plain words here"
SOPS = {"sops/greet.md": "Greet.\n", "sops/bye.md": "Wave.\n"}


@asynccontextmanager
async def at_work(house: House, *works: object) -> AsyncIterator[None]:
    supervisor = Supervisor()
    WorkLoops(works, store=house.store, bus=house.bus, clock=house.clock, holder="one").start(supervisor)  # type: ignore[arg-type]
    house.loops(workers=2).start(supervisor)
    async with supervisor.running():
        yield


async def done(house: House, operation: Operation) -> Operation:
    ended = await house.control.wait(operation.id, timeout_s=60)
    assert ended.status is Status.DONE, ended.error
    return ended


async def nanobots(data: Path) -> House:
    house = await hospitable(data)
    house.prober.answer = (200, b'{"ok": true, "status": "ok"}')
    return house


def unit(data: Path, name: str) -> Path:
    return data / "tenants" / name


async def exported(data: Path, wish: Wish) -> Path:
    """Alice's unit, of a house in which she has lived for a while."""
    house = await nanobots(data)
    exports = exports_of(house, data)
    async with at_work(house, exports):
        packs = packs_for(house, data)
        await packs.add("1", SOPS)
        patch = SpecPatch(packs=("core@1",), env={"LANG": "C"})
        _, made = await house.control.create("alice", "nanobot", patch, actor=SYSTEM)
        await done(house, made)
        await house.vault.set("alice", "TG", TOKEN, actor=SYSTEM)
        patch = SpecPatch(config={"channels": {"telegram": {"enabled": True, "token": "${secret:TG}"}}})
        _, changed = await house.control.update("alice", patch, actor=SYSTEM)
        await done(house, changed)
        goods = Goods(packs=[await packs.library.pack("core", "1")], workspace="workspace")
        await packs.workspaces.deliver("alice", goods, at=house.clock.now())
        here = unit(data, "alice") / "persistence"
        (here / "workspace/sops/bye.md").unlink()
        (here / "workspace/sops/greet.md").write_text("Greet warmly.\n")
        (here / "workspace/MEMORY.md").write_text("He likes tea.\n")
        (here / "workspace/naïve \udcff\n.md").write_text("odd\n")
        os.mkfifo(here / "workspace/\udcff-fifo")
        (here / "workspace/out").symlink_to("/etc/passwd")
        os.link(here / "workspace/MEMORY.md", here / "workspace/again.md")
        ended = await done(house, await exports.begin("alice", wish, actor=SYSTEM))
    path, _ = await exports.fetch("alice", ended.id, actor=SYSTEM)
    return path


async def pieces(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    for each in parts:
        yield each


@pytest.mark.parametrize("called", ["alice", "bob"])
@pytest.mark.parametrize("with_secrets", [True, False])
@pytest.mark.parametrize("lock", ["none", "recipient", "passphrase"])
async def test_what_is_exported_is_taken_in(tmp_path: Path, lock: str, with_secrets: bool, called: str) -> None:
    identity = pyrage.x25519.Identity.generate()
    recipient = str(identity.to_public())
    (tmp_path / "key").write_text(str(identity))
    (tmp_path / "words").write_text(WORDS)
    locks = {"none": Lock(), "recipient": Lock(recipients=(recipient,)), "passphrase": Lock(passphrase=WORDS)}
    file = await exported(tmp_path / "one", Wish(with_secrets=with_secrets, lock=locks[lock]))
    key = tmp_path / "key" if lock == "recipient" else None
    words = str(tmp_path / "words") if lock == "passphrase" else None
    data = tmp_path / "two"
    house = await nanobots(data)
    importing = importing_of(house, data)
    async with open_house(house, importing):
        with plain_pieces(file, identity=key, passphrase=words) as plain:
            upload = await importing.receive(pieces(plain))
        asked = Asked(seed=Seed.INNKEEPER, path="", name=None if called == "alice" else called)
        (begun,) = await importing.begin(asked, actor=SYSTEM, upload=upload)
        ended = await done(house, begun)
        if not with_secrets:
            await house.vault.set(called, "TG", TOKEN, actor=SYSTEM)
            _, changed = await house.control.update(called, SpecPatch(env={"LANG": "C"}), actor=SYSTEM)
            await house.control.wait(changed.id, timeout_s=60)
        else:
            await house.control.wait(ended.detail[RESULT]["provision"], timeout_s=60)
    tenant = await house.tenant(called)
    here, there = unit(data, called), unit(tmp_path / "one", "alice")
    assert tenant.fenced
    assert tenant.hostname == "alice", "as its data know it"
    assert tenant.spec.env == {"LANG": "C"}
    assert tenant.spec.packs == ("core@1",)
    assert (here / "persistence/workspace/MEMORY.md").read_text() == "He likes tea.\n"
    assert (here / "persistence/workspace/again.md").samefile(here / "persistence/workspace/MEMORY.md")
    assert (here / "persistence/workspace/naïve \udcff\n.md").read_text() == "odd\n"
    assert (here / "persistence/workspace/out").readlink() == Path("/etc/passwd")
    assert (here / "hydration.json").read_bytes() == (there / "hydration.json").read_bytes()
    assert await house.vault.reveal("TG", tenant) == TOKEN
    config = json.loads((here / "persistence/.nanobot/config.json").read_text())
    assert config["channels"]["telegram"]["enabled"] is False
    await restores_of(house, data).confirm(called, actor=SYSTEM)
    await house.settle(called)
    config = json.loads((here / "persistence/.nanobot/config.json").read_text())
    assert config["channels"]["telegram"]["enabled"] is True
    assert not (await house.tenant(called)).fenced
    assert not list((data / "imports").iterdir())


HOSTILE: list[dict[str, object]] = [
    {"files": {"../../bob/persistence/x": {"content": ["0" * 64, False], "pack": "core"}}},
    {"files": {"/etc/passwd": {"content": ["0" * 64, False], "pack": "core"}}},
    {"conflicts": {"a": {"beside": "../x.new", "content": ["0", False], "pack": "core", "version": "1", "at": AT}}},
    {"packs": {"core": {"version": 7, "digest": "0", "at": AT}}},
    {"packs": {"\ud800": {"version": "1", "digest": "0", "at": AT}}},
]


@pytest.mark.parametrize("said", HOSTILE)
def test_what_leads_out_was_never_delivered(said: dict[str, object]) -> None:
    kept = json.dumps({"format": 1, "packs": {}, "files": {}, "conflicts": {}, **said}).encode()
    with pytest.raises(HydrationUnreadable):
        delivery_of(kept)


async def test_one_with_an_image_of_its_operators_comes_back_on_that_image(tmp_path: Path) -> None:
    house = await hospitable(tmp_path / "one")
    house.prober.answer = (200, b'{"status": "ready"}')
    exports = exports_of(house, tmp_path / "one")
    async with at_work(house, exports):
        _, made = await house.control.create("alice", "zeptoclaw", SpecPatch(image="zeptoclaw:2"), actor=SYSTEM)
        await done(house, made)
        ended = await done(house, await exports.begin("alice", Wish(), actor=SYSTEM))
    file, _ = await exports.fetch("alice", ended.id, actor=SYSTEM)
    other = await hospitable(tmp_path / "two")
    importing = importing_of(other, tmp_path / "two")
    async with open_house(other, importing):
        with plain_pieces(file, identity=None, passphrase=None) as plain:
            upload = await importing.receive(pieces(plain))
        (begun,) = await importing.begin(Asked(seed=Seed.INNKEEPER, path=""), actor=SYSTEM, upload=upload)
        await done(other, begun)
    there = await other.tenant("alice")
    assert (there.spec.agent, there.spec.image, there.fenced) == ("zeptoclaw", "zeptoclaw:2", True)
