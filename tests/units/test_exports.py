"""Exports in a house of real folders: what is in the tar, who can open it, and what is left of it afterwards."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import os
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.errors import Invalid, UnknownOperation
from innkeeper.core.exports import Exports, Wish
from innkeeper.core.handing_out import KEPT_FOR
from innkeeper.core.instance import State
from innkeeper.core.operations import Operation, Status
from innkeeper.core.ports.exports import Lock
from innkeeper.core.specs import SpecPatch
from innkeeper.core.works import RESULT, Tell
from innkeeper.loops.supervise import Supervisor
from innkeeper.loops.works import WorkLoops
from innkeeper.runtimes.memory_faults import Call
from innkeeper.units import crates
from innkeeper.units.layout import FolderUnits
from tests.api.bench import exports_of
from tests.support.house import House

SECRET = "of-the-channel-alone"


@pytest.fixture
async def house(tmp_path: Path) -> House:
    units = FolderUnits(tmp_path / "tenants", owner_uid=os.geteuid(), owner_gid=os.getegid())
    house = House(units=units)  # type: ignore[arg-type]  # the real ones
    await house.create()
    await house.vault.set("alice", "BOT", SECRET, actor=SYSTEM)
    patch = SpecPatch(config={"channels": {"bot": {"token": "${secret:BOT}"}}})
    await house.control.update("alice", patch, actor=SYSTEM)
    await house.settle()
    data = persistence(tmp_path)
    (data / "workspace").mkdir()
    (data / "workspace" / "SOUL.md").write_text("I am alice's.")
    (data / "cache").mkdir()
    (data / "cache" / "asset").write_text("again")
    (data / "plain.json.bak").write_text(f'{{"token": "{SECRET}"}}')
    (data / "out").symlink_to("/etc/passwd")
    os.mkfifo(data / "fifo")
    (tmp_path / "tenants" / "alice" / "hydration.json").write_text("{}")
    with (tmp_path / "tenants" / "alice" / ".env").open("a") as env:
        env.write("MODEL_API_KEY=an-operators-own\nPORT=19123\n")
    return house


def persistence(data: Path) -> Path:
    return data / "tenants" / "alice" / "persistence"


@asynccontextmanager
async def carrying_out(house: House, exports: Exports) -> AsyncIterator[None]:
    loops = WorkLoops([exports], store=house.store, bus=house.bus, clock=house.clock, holder="one")
    supervisor = Supervisor()
    loops.start(supervisor)
    async with supervisor.running():
        yield


async def exported(house: House, data: Path, wish: Wish | None = None) -> tuple[Operation, bytes]:
    exports = exports_of(house, data)
    async with carrying_out(house, exports):
        began = await exports.begin("alice", wish or Wish(), actor=SYSTEM)
        ended = await house.control.wait(began.id, timeout_s=600)
    assert ended.status is Status.DONE, ended.error
    path, called = await exports.fetch("alice", began.id, actor=SYSTEM)
    assert called == path.name == ended.detail[RESULT]["file"]
    return ended, path.read_bytes()


def members(tar: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        return {
            each.name: content.read() if each.isreg() and (content := opened.extractfile(each)) else b""
            for each in opened
        }


async def test_the_tar_holds_the_unit_and_no_secret(house: House, tmp_path: Path) -> None:
    operation, tar = await exported(house, tmp_path)
    found, result = members(tar), operation.detail[RESULT]
    assert list(found)[-1] == "alice/innkeeper.end"
    assert found["alice/persistence/workspace/SOUL.md"] == b"I am alice's."
    assert {"alice/compose.yaml", "alice/.env", "alice/persistence/out", "alice/hydration.json"} <= found.keys()
    assert not [name for name in found if "cache" in name or "fifo" in name]
    facts = json.loads(found["alice/innkeeper.json"])
    assert (facts["tenant"], facts["release"]) == ("alice", "1.0")
    assert (facts["format"], facts["agent"], facts["spec"]["config"]["channels"]) == (
        1,
        "plain",
        {"bot": {"token": "${secret:BOT}"}},
    )
    assert "secrets" not in facts
    assert SECRET in (persistence(tmp_path) / "plain.json").read_text(), "its own stays as it is"
    assert SECRET.encode() not in tar
    assert b"set-BOT-anew" in found["alice/persistence/plain.json.bak"]
    assert b"an-operators-own" not in tar
    assert b"PORT=19123" in found["alice/.env"]
    assert result["left_out"] == facts["left_out"] == {"fifo": "it is a device, a FIFO or a socket"}
    assert result["frozen_s"] is not None
    assert house.runtime.calls[Call.UNPAUSE] == 1
    assert (await house.runtime.get("alice")).state is State.RUNNING


async def test_with_secrets_they_are_all_in_it(house: House, tmp_path: Path) -> None:
    _, tar = await exported(house, tmp_path, Wish(with_secrets=True))
    found = members(tar)
    assert json.loads(found["alice/innkeeper.json"])["secrets"] == {"BOT": SECRET}
    assert SECRET.encode() in found["alice/persistence/plain.json"]
    assert b"an-operators-own" in found["alice/.env"]


async def test_with_a_passphrase_only_that_opens_it_and_it_is_kept_nowhere(house: House, tmp_path: Path) -> None:
    operation, sealed = await exported(house, tmp_path, Wish(lock=Lock(passphrase="four plain words here")))
    assert operation.detail[RESULT]["file"].endswith(".tar.age")
    assert "alice/innkeeper.end" in members(pyrage.passphrase.decrypt(sealed, "four plain words here"))
    async with house.store.look() as tx:
        kept = [str(await tx.operations()), str(await tx.trail())]
    assert "four plain words here" not in "".join(kept)
    assert operation.detail["passphrase"] is None


async def test_to_a_recipient_only_they_open_it(house: House, tmp_path: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    _, sealed = await exported(house, tmp_path, Wish(lock=Lock(recipients=(str(identity.to_public()),))))
    assert b"SOUL" not in sealed
    assert "alice/innkeeper.end" in members(pyrage.decrypt(sealed, [identity]))


@pytest.mark.parametrize(
    "lock", [Lock(recipients=("age1nobody",)), Lock(passphrase=""), Lock(passphrase="x", recipients=("age1x",))]
)
async def test_what_nobody_could_open_isnt_begun(house: House, tmp_path: Path, lock: Lock) -> None:
    with pytest.raises(Invalid):
        await exports_of(house, tmp_path).begin("alice", Wish(lock=lock), actor=SYSTEM)
    async with house.store.look() as tx:
        assert not [each for each in await tx.operations() if each.kind is Exports.kind]


async def test_a_sleeper_is_exported_asleep(house: House, tmp_path: Path) -> None:
    await house.control.sleep("alice", "stop", actor=SYSTEM)
    await house.settle()
    operation, tar = await exported(house, tmp_path)
    assert operation.detail[RESULT]["frozen_s"] is None
    assert members(tar)["alice/persistence/workspace/SOUL.md"]
    assert (await house.runtime.get("alice")).state is State.STOPPED


async def test_what_changes_until_it_is_frozen_is_in_it_as_it_was_then(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, exports = persistence(tmp_path), exports_of(house, tmp_path)
    real, passes = exports._crates.copy, 0

    async def copy(crate: str, tenant: str, **options: Any) -> Any:
        nonlocal passes
        passes += 1
        done = await real(crate, tenant, **options)
        if (await house.runtime.get("alice")).state is State.RUNNING:
            (data / "log").write_text(f"pass {passes}")
        return done

    monkeypatch.setattr(exports._crates, "copy", copy)
    async with carrying_out(house, exports):
        began = await exports.begin("alice", Wish(), actor=SYSTEM)
        await house.control.wait(began.id, timeout_s=600)
    path, _ = await exports.fetch("alice", began.id, actor=SYSTEM)
    assert members(path.read_bytes())["alice/persistence/log"] == f"pass {passes - 1}".encode()


async def test_after_a_crash_in_the_middle_it_is_done_from_the_beginning(house: House, tmp_path: Path) -> None:
    exports = exports_of(house, tmp_path)
    inside = asyncio.Event()

    async def hangs(*_: object, **__: object) -> None:
        inside.set()
        await asyncio.Event().wait()

    exports._crates.pack = hangs  # type: ignore[method-assign, assignment]
    async with carrying_out(house, exports):
        began = await exports.begin("alice", Wish(lock=Lock(passphrase="of before")), actor=SYSTEM)
        await inside.wait()
    again = exports_of(house, tmp_path)
    (persistence(tmp_path) / "workspace" / "SOUL.md").unlink()
    async with carrying_out(house, again):
        ended = await house.control.wait(began.id, timeout_s=600)
    assert ended.status is Status.DONE, ended.error
    path, _ = await again.fetch("alice", began.id, actor=SYSTEM)
    found = members(pyrage.passphrase.decrypt(path.read_bytes(), "of before"))
    assert "alice/persistence/workspace/SOUL.md" not in found
    assert sorted(each.name for each in path.parent.iterdir()) == [path.name]


@pytest.mark.parametrize("is_there", [True, False])
async def test_killed_when_its_passphrase_is_gone_it_is_over_or_says_why_not(
    house: House, tmp_path: Path, is_there: bool
) -> None:
    exports = exports_of(house, tmp_path)
    began = await exports.begin("alice", Wish(lock=Lock(passphrase="of before")), actor=SYSTEM)
    lease = await house.store.claim_work("alice", holder="one", for_s=30)
    assert lease is not None
    tell = Tell(began, lease=lease, store=house.store, bus=house.bus, clock=house.clock)
    await exports.carry_out(began, tell)  # and the process dies before the operation is written down as over
    await house.store.release(lease)
    assert tell.operation.detail["passphrase"] is None
    path = await exports._crates.file(began.id)
    assert path is not None
    if not is_there:
        path.unlink()
    again = exports_of(house, tmp_path)
    async with carrying_out(house, again):
        ended = await house.control.wait(began.id, timeout_s=600)
    if is_there:
        assert ended.status is Status.DONE, ended.error
        path, _ = await again.fetch("alice", began.id, actor=SYSTEM)
        assert "alice/innkeeper.end" in members(pyrage.passphrase.decrypt(path.read_bytes(), "of before"))
    else:
        assert ended.error is not None
        assert "Ask for the export anew" in ended.error.hint
        assert not list((tmp_path / "exports").iterdir())


async def test_a_tenant_that_goes_takes_the_passphrase_along(house: House, tmp_path: Path) -> None:
    exports = exports_of(house, tmp_path)
    began = await exports.begin("alice", Wish(lock=Lock(passphrase="of before")), actor=SYSTEM)
    await house.control.delete("alice", purge=False, actor=SYSTEM)
    async with carrying_out(house, exports):
        ended = await house.control.wait(began.id, timeout_s=600)
    assert (ended.status, ended.detail["passphrase"]) == (Status.FAILED, None)


@pytest.mark.parametrize("where", ["mirror", "_new_file"])
async def test_a_full_disk_fails_it_and_leaves_nothing(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    exports = exports_of(house, tmp_path)

    def no_space(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(crates, where, no_space)
    async with carrying_out(house, exports):
        began = await exports.begin("alice", Wish(lock=Lock(passphrase="x" * 20)), actor=SYSTEM)
        ended = await house.control.wait(began.id, timeout_s=600)
    assert ended.status is Status.FAILED
    assert ended.error is not None
    assert ended.error.code == "disk_full"
    assert not list((tmp_path / "exports").iterdir())
    assert ended.detail["passphrase"] is None


async def test_it_is_kept_for_a_day_or_until_it_is_dropped_or_its_tenant_is_gone(house: House, tmp_path: Path) -> None:
    first, _ = await exported(house, tmp_path)
    second, _ = await exported(house, tmp_path)
    exports = exports_of(house, tmp_path)
    assert await exports.tidy() == 0
    await exports.drop("alice", first.id)
    with pytest.raises(UnknownOperation, match="isn't here"):
        await exports.fetch("alice", first.id, actor=SYSTEM)
    house.clock.turn(KEPT_FOR / timedelta(seconds=1) + 1)
    assert await exports.tidy() == 1
    third, _ = await exported(house, tmp_path)
    await house.control.delete("alice", purge=True, actor=SYSTEM)
    await house.settle()
    assert await exports.tidy() == 1
    assert not list((tmp_path / "exports").iterdir())
    for gone in (second, third):
        with pytest.raises(UnknownOperation):
            await exports.fetch("alice", gone.id, actor=SYSTEM)


async def test_another_tenants_export_isnt_fetched(house: House, tmp_path: Path) -> None:
    operation, _ = await exported(house, tmp_path)
    await house.create("bob")
    exports = exports_of(house, tmp_path)
    for name, export in (("bob", operation.id), ("alice", "op_" + "0" * 26), ("alice", "../../etc")):
        with pytest.raises(UnknownOperation):
            await exports.fetch(name, export, actor=SYSTEM)
