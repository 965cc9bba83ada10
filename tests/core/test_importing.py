"""Units of other systems become tenants, whole or not at all, wherever the process dies."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.adoption import Asked, Seed
from innkeeper.core.errors import Conflict
from innkeeper.core.import_errors import ImportRefused
from innkeeper.core.importing import Importing
from innkeeper.core.instance import State
from innkeeper.core.operations import Operation, OperationKind, Status
from innkeeper.core.tenant import Tenant
from innkeeper.core.works import RESULT, Tell
from tests.support import layouts
from tests.support.arriving import OWNER, arrivals_of, hospitable, importing_of, open_house, over
from tests.support.house import House
from tests.support.layouts import ANTHROPIC, OPENAI, SECRETS, TELEGRAM


class Died(BaseException):
    """The process ends here."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
async def house(data: Path) -> House:
    return await hospitable(data)


def unit(data: Path, name: str) -> Path:
    return data / "tenants" / name


async def taken(house: House, data: Path, asked: Asked, **more: Any) -> list[Operation]:
    """All that is imported, at its end."""
    importing = importing_of(house, data)
    async with open_house(house, importing):
        begun = await importing.begin(asked, actor=SYSTEM, **more)
        ended = [await over(house, each) for each in begun]
        for each in ended:
            if each.status is Status.DONE:
                assert (await house.control.wait(each.detail[RESULT]["provision"], timeout_s=60)).status is Status.DONE
    return ended


async def test_marcobys_unit_becomes_a_tenant_that_answers(house: House, data: Path, tmp_path: Path) -> None:
    source = layouts.marcoby(tmp_path)
    importing = importing_of(house, data)
    async with open_house(house, importing):
        (begun,) = await importing.begin(Asked(seed=Seed.MARCOBY, path=str(source)), actor=SYSTEM)
        ended = await over(house, begun)
        assert ended.status is Status.DONE, ended
        result = ended.detail[RESULT]
        started = await house.control.wait(result["provision"], timeout_s=60)
    assert started.status is Status.DONE, started
    tenant = await house.tenant("client-alpha")
    assert (tenant.seen.state, tenant.seen.ready, tenant.fenced, tenant.closed) == (State.RUNNING, True, True, None)
    persistence = unit(data, "client-alpha") / "persistence"
    assert (persistence / "workspace/knowledge/sops.md").read_text() == "Always greet.\n"
    assert (persistence / "workspace/latest.md").readlink() == Path("knowledge/sops.md")
    found = (persistence / "workspace/SOUL.md").stat()
    assert (found.st_uid, found.st_gid) == OWNER
    config = json.loads((persistence / ".openclaw/openclaw.json").read_text())
    assert config["agents"]["defaults"]["model"]["primary"].startswith("innkeeper/")
    assert config["gateway"]["auth"]["password"] != "the-old-gateways-own-token"
    assert await house.vault.reveal("OPENAI_API_KEY", tenant) == OPENAI
    assert result["secrets"] == ["MSTEAMS_APP_PASSWORD", "OPENAI_API_KEY"]
    assert not list(data.glob("imports/*"))


async def test_no_secret_is_anywhere_but_in_the_vault(house: House, data: Path, tmp_path: Path) -> None:
    (ended,) = await taken(house, data, Asked(seed=Seed.STARTCLAW, path=str(layouts.startclaw(tmp_path))))
    async with house.store.look() as tx:
        trail = [line for _, line in await tx.trail(limit=100)]
        tenant = await tx.tenant("user1")
    told = repr(trail) + repr(ended) + repr(tenant) + repr(house.happened)
    assert not any(secret in told for secret in SECRETS)
    assert {ANTHROPIC, TELEGRAM} <= house.hidden
    below = [path for path in unit(data, "user1").rglob("*") if path.is_file()]
    holds = [path.name for path in below if any(secret.encode() in path.read_bytes() for secret in SECRETS)]
    assert holds in ([], ["openclaw.json"])  # the channel's own token, which the agent has to hold


@pytest.mark.parametrize(
    ("seed", "make", "names", "more"),
    [
        (Seed.OCMT, lambda at: layouts.ocmt(at / "ocmt", "u1", "u2"), ["u1", "u2"], {}),
        (Seed.WORKFORCE, lambda at: layouts.workforce(at / "w", "acme"), ["acme"], {}),
        (Seed.ZEPTOCLAW, layouts.zeptoclaw, ["shop-ahmad", "shop-fatimah"], {"agent": "nanobot"}),
    ],
)
async def test_the_others_do_too(
    seed: Seed,
    make: Callable[[Path], Path],
    names: list[str],
    more: dict[str, Any],
    house: House,
    data: Path,
    tmp_path: Path,
) -> None:
    house.prober.answer = (200, b'{"ok": true, "status": "ok"}' if more else b'{"ok": true, "status": "started"}')
    asked = Asked(seed=seed, path=str(make(tmp_path)), volumes=str(tmp_path / "volumes"), **more)
    importing = importing_of(house, data)
    async with open_house(house, importing):
        begun = await importing.begin(asked, actor=SYSTEM)
        assert [each.tenant for each in begun] == names
        for each in begun:
            ended = await over(house, each)
            assert ended.status is Status.DONE, ended
            assert (await house.control.wait(ended.detail[RESULT]["provision"], timeout_s=60)).status is Status.DONE
    for name in names:
        assert list((unit(data, name) / "persistence/workspace").iterdir())


async def test_what_is_in_the_way_is_told_before_anything_is_done(house: House, data: Path, tmp_path: Path) -> None:
    importing = importing_of(house, data)
    source = layouts.marcoby(tmp_path, "alice")
    asked = Asked(seed=Seed.MARCOBY, path=str(source))
    await house.create("alice")
    (plan,) = await importing.look(asked)
    assert any("There is a tenant alice" in each for each in plan.refusals)
    with pytest.raises(ImportRefused, match="There is a tenant alice"):
        await importing.begin(asked, actor=SYSTEM)
    (unit(data, "left-over") / "persistence").mkdir(parents=True)
    (plan,) = await importing.look(Asked(seed=Seed.MARCOBY, path=str(source), name="left-over"))
    assert any("former tenant" in each for each in plan.refusals)
    (plan,) = await importing.look(Asked(seed=Seed.MARCOBY, path=str(source), name="console"))
    assert any("console" in each for each in plan.refusals)
    (plan,) = await importing.look(Asked(seed=Seed.MARCOBY, path=str(source), name="bob", release="1999.1"))
    assert any("1999.1" in each for each in plan.refusals)
    async with house.store.look() as tx:
        assert not [each for each in await tx.operations() if each.kind is OperationKind.IMPORT]


async def test_two_imports_of_one_name_at_once(house: House, data: Path, tmp_path: Path) -> None:
    importing = importing_of(house, data)
    asked = Asked(seed=Seed.MARCOBY, path=str(layouts.marcoby(tmp_path)))
    await importing.begin(asked, actor=SYSTEM)
    with pytest.raises(Conflict, match="imported already"):
        await importing.begin(asked, actor=SYSTEM)


async def test_a_source_that_turns_bad_meanwhile_leaves_nothing(house: House, data: Path, tmp_path: Path) -> None:
    source = layouts.marcoby(tmp_path)
    importing = importing_of(house, data)
    (begun,) = await importing.begin(Asked(seed=Seed.MARCOBY, path=str(source)), actor=SYSTEM)
    with (source / "docker-compose.yml").open("a") as compose:
        compose.write("    privileged: true\n")
    async with open_house(house, importing):
        ended = await over(house, begun)
    assert (ended.status, ended.error and ended.error.code) == (Status.FAILED, "import_refused")
    assert not unit(data, "client-alpha").exists()
    assert not list(data.glob("imports/*"))
    async with house.store.look() as tx:
        assert await tx.tenant("client-alpha") is None


# --- the process dies at each step ------------------------------------------------------------------------------------


def step_of(importing: Importing, step: str) -> tuple[Any, str]:
    """Where a step of the use case is taken."""
    return {
        "stage": (importing._arrivals, "stage"),
        "key": (importing._keys, "ready"),
        "row": (importing, "_write_down"),
        "settle": (importing._arrivals, "settle"),
        "reopen": (importing._closing, "reopen"),
        "drop": (importing._arrivals, "drop"),
    }[step]


async def dead(house: House, importing: Importing, begun: Operation) -> None:
    """It is carried out until the process dies."""
    lease = await house.store.claim_work(begun.tenant, holder="one", for_s=30)
    assert lease is not None
    with pytest.raises(Died):
        await importing.carry_out(begun, Tell(begun, lease=lease, store=house.store, bus=house.bus, clock=house.clock))
    await house.store.release(lease)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", ["stage", "key", "row", "settle", "reopen", "drop"])
async def test_killed_at_each_step_it_comes_to_the_same_end(
    step: str, after: bool, house: House, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    importing = importing_of(house, data)
    target, name = step_of(importing, step)
    real = getattr(target, name)

    async def dies(*arguments: Any, **more: Any) -> None:
        if after:
            await real(*arguments, **more)
        raise Died

    monkeypatch.setattr(target, name, dies)
    (begun,) = await importing.begin(Asked(seed=Seed.MARCOBY, path=str(layouts.marcoby(tmp_path))), actor=SYSTEM)
    await dead(house, importing, begun)
    monkeypatch.undo()

    house.start("two")
    await house.directory.load()
    again = importing_of(house, data)
    await again.tidy()
    async with open_house(house, again, holder="two"):
        ended = await over(house, begun)
        assert ended.status is Status.DONE, ended
        provision = ended.detail[RESULT]["provision"]
        assert (await house.control.wait(provision, timeout_s=60)).status is Status.DONE
    tenant: Tenant = await house.tenant("client-alpha")
    assert (tenant.closed, tenant.seen.ready, tenant.id) == (None, True, begun.tenant_id)
    assert (unit(data, "client-alpha") / "persistence/workspace/SOUL.md").read_text() == "# Alpha\n"
    assert await house.vault.reveal("OPENAI_API_KEY", tenant) == OPENAI
    assert not list(data.glob("imports/*"))


@pytest.mark.parametrize("dies_at", ["", "undo", "drop"])
@pytest.mark.parametrize("lost", ["imports/*/*", "imports/*", "imports"])
async def test_a_folder_that_was_lost_ends_it_and_leaves_nothing(
    lost: str, dies_at: str, house: House, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    importing = importing_of(house, data)
    (data / "tenants").mkdir(exist_ok=True)
    asked = Asked(seed=Seed.MARCOBY, path=str(layouts.marcoby(tmp_path)))
    (begun,) = await importing.begin(asked, actor=SYSTEM)
    real = importing._write_down

    async def somebody_tidies_up(*arguments: Any) -> None:
        await real(*arguments)
        for path in data.glob(lost) if arguments[0].id == begun.id else ():
            shutil.rmtree(path)

    monkeypatch.setattr(importing, "_write_down", somebody_tidies_up)
    if dies_at:
        target = {"undo": importing._keys, "drop": importing._arrivals}[dies_at]
        monkeypatch.setattr(target, {"undo": "destroy", "drop": "drop"}[dies_at], _dies)
        await dead(house, importing, begun)
        monkeypatch.undo()
        importing = importing_of(house, data)
    async with open_house(house, importing):
        ended = await over(house, begun)
        assert (ended.status, ended.error and ended.error.code) == (Status.FAILED, "staged_lost")
        assert ended.error
        assert "imports/" in ended.error.message
        assert "import it again" in ended.error.hint
        async with house.store.look() as tx:
            assert await tx.tenant("client-alpha") is None
            assert not await tx.secrets.versions(begun.tenant_id)
            assert not await tx.operations(open_only=True), "its start is over, too"
        assert not unit(data, "client-alpha").exists()
        assert not list(data.glob("imports/*"))
        (again,) = await importing.begin(asked, actor=SYSTEM)
        assert (await over(house, again)).status is Status.DONE, "the name is free"


async def _dies(*_: Any) -> None:
    raise Died


async def test_a_folder_that_appears_is_never_overwritten(
    house: House, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrivals = arrivals_of(data)
    importing = importing_of(house, data, arrivals)
    (begun,) = await importing.begin(Asked(seed=Seed.MARCOBY, path=str(layouts.marcoby(tmp_path))), actor=SYSTEM)
    real = importing._write_down

    async def somebody_is_quicker(*arguments: Any) -> None:
        await real(*arguments)
        layouts.write(unit(data, "client-alpha") / "persistence/theirs", "theirs")

    monkeypatch.setattr(importing, "_write_down", somebody_is_quicker)
    async with open_house(house, importing):
        while (now := await house.control.operation(begun.id)).progress.step in (
            "queued",
            "copying",
            "moving into place",
        ):
            await asyncio.sleep(0.01)
        assert not now.status.ended
        tenant = await house.tenant("client-alpha")
        assert (tenant.closed, tenant.seen.state) == (begun.id, State.ABSENT)
        assert (unit(data, "client-alpha") / "persistence/theirs").read_text() == "theirs"


async def test_what_nobody_carries_out_any_more_is_cleared_away(house: House, data: Path) -> None:
    layouts.write(data / "imports/op_gone/unit-1/persistence/x", "x")
    layouts.write(data / "imports/up_gone/source", "x")
    await importing_of(house, data).tidy()
    assert not list(data.glob("imports/*"))


async def test_a_full_disk_is_told_before_it_is_full(
    house: House, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fstatvfs

    def nearly_full(descriptor: int) -> os.statvfs_result:
        return os.statvfs_result((*real(descriptor)[:3], 0, 0, *real(descriptor)[5:]))

    monkeypatch.setattr(os, "fstatvfs", nearly_full)
    (ended,) = await taken(house, data, Asked(seed=Seed.MARCOBY, path=str(layouts.marcoby(tmp_path))))
    assert ended.error is not None
    assert ended.error.code == "disk_full"
    assert not unit(data, "client-alpha").exists()
    assert not list(data.glob("imports/*"))


async def test_cancelled_it_has_stopped_writing_when_it_returns(data: Path, tmp_path: Path) -> None:
    source = layouts.marcoby(tmp_path)
    for number in range(2000):
        layouts.write(source / f"persistence/workspace/many/{number}.md", "x")
    loop, begun = asyncio.get_running_loop(), asyncio.Event()
    asked = Asked(seed=Seed.MARCOBY, path=str(source))
    copying = asyncio.create_task(
        arrivals_of(data).stage(
            "op_1", asked, "client-alpha", None, lambda done, of: loop.call_soon_threadsafe(begun.set)
        )
    )
    await begun.wait()
    copying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await copying
    assert len(list(data.glob("imports/op_1/*/persistence/workspace/many/*"))) < 2000


async def test_links_and_hard_links_come_along_and_lead_nowhere(house: House, data: Path, tmp_path: Path) -> None:
    source = layouts.marcoby(tmp_path)
    workspace = source / "persistence/workspace"
    (workspace / "passwd").symlink_to("/etc/passwd")
    (workspace / "up").symlink_to("../../../..")
    (workspace / "again.md").hardlink_to(workspace / "SOUL.md")
    (ended,) = await taken(house, data, Asked(seed=Seed.MARCOBY, path=str(source)))
    assert ended.status is Status.DONE, ended
    found = unit(data, "client-alpha") / "persistence/workspace"
    assert str((found / "passwd").readlink()) == "/etc/passwd"
    assert str((found / "up").readlink()) == "../../../.."
    assert (found / "again.md").stat().st_ino == (found / "SOUL.md").stat().st_ino
    assert (found / "again.md").stat().st_ino != (workspace / "SOUL.md").stat().st_ino


async def test_a_link_where_a_folder_belongs_isnt_followed(house: House, data: Path, tmp_path: Path) -> None:
    elsewhere = layouts.marcoby(tmp_path, "elsewhere")
    source = layouts.marcoby(tmp_path)
    shutil.rmtree(source / "persistence")
    (source / "persistence").symlink_to(elsewhere / "persistence")
    (source / ".env").unlink()
    (source / ".env").symlink_to(elsewhere / ".env")
    (plan,) = await importing_of(house, data).look(Asked(seed=Seed.MARCOBY, path=str(source)))
    assert any("half copied" in each for each in plan.refusals)
    assert any(".env" in each for each in plan.refusals)
    assert not plan.adoption.secrets
