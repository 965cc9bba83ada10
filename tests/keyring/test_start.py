"""Starts with the wrong keyring, or none: each one says so, and nothing is overwritten."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from innkeeper.core.access import ADMIN
from innkeeper.core.errors import Problem
from innkeeper.core.tenant import Tenant, Wanted
from innkeeper.diagnosis import doctor_host
from innkeeper.frontage import edge_plan
from innkeeper.host.doctor import keyring as check
from innkeeper.host.doctor.finding import Status
from innkeeper.keyring import KeyDestroyed, Keyring, KeyringFault
from innkeeper.settings import Settings
from innkeeper.store.sql import SqlStore
from innkeeper.strongroom import open_keyring
from innkeeper.wiring import build
from tests.keyring.test_data_keys import files
from tests.store.databases import POSTGRES, postgres_url
from tests.store.examples import tenant
from tests.support.links import LINKS


def settings_of(data: Path, **more: object) -> Settings:
    return Settings(data=data, runtime="memory", edge=False, **more)  # type: ignore[arg-type]


async def filled(settings: Settings) -> Tenant:
    """A control plane that has run, with a tenant and its secret."""
    async with build(settings) as house:
        made = tenant("alice")
        async with house.inn.store.begin() as tx:
            await tx.add_tenant(made)
        await house.inn.vault.set("alice", "KEY", "canary", actor=ADMIN)
    return made


def wrong_keyring(data: Path) -> None:
    Keyring.open(data.parent / "other")
    shutil.copy(data.parent / "other/keyring", data / "keyring")


def no_keyring(data: Path) -> None:
    (data / "keyring").unlink()


def nothing_but_the_database(data: Path) -> None:
    (data / "keyring").unlink()
    shutil.rmtree(data / "keys")


def no_data_keys(data: Path) -> None:
    shutil.rmtree(data / "keys")


def open_to_others(data: Path) -> None:
    (data / "keyring").chmod(0o644)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (wrong_keyring, "lacks the master key"),
        (no_keyring, "isn't new"),
        (nothing_but_the_database, "isn't new"),
        (no_data_keys, "data keys of 1 owners of secrets are missing"),
        (open_to_others, "open to others"),
    ],
)
async def test_every_start_says_what_is_wrong_with_the_keyring_and_changes_nothing(
    tmp_path: Path, harm: Callable[[Path], None], says: str
) -> None:
    settings = settings_of(tmp_path / "data")
    await filled(settings)
    harm(settings.data)
    before = {name: content for name, content in files(settings.data).items() if "innkeeper.db" not in name}
    for _ in range(2):
        with pytest.raises(KeyringFault, match=says) as fault:
            async with build(settings):
                pass
        assert fault.value.hint
    after = {name: content for name, content in files(settings.data).items() if "innkeeper.db" not in name}
    after.pop("keys/masters", None) if harm is no_data_keys else None
    assert after == before


@pytest.mark.parametrize("driver", [POSTGRES])
async def test_a_database_elsewhere_counts_as_well(tmp_path: Path, driver: str) -> None:
    async with postgres_url() as url:
        settings = settings_of(tmp_path / "data", database_url=url)
        await open_keyring(settings)
        await (await SqlStore.open(url, links=LINKS)).close()
        shutil.rmtree(settings.data)
        with pytest.raises(KeyringFault, match="isn't new"):
            await open_keyring(settings)
        assert not settings.data.exists()


async def test_with_the_right_one_back_all_is_as_it_was(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "data")
    alice = await filled(settings)
    (settings.data / "keyring").rename(tmp_path / "aside")
    with pytest.raises(KeyringFault):
        await open_keyring(settings)
    (tmp_path / "aside").rename(settings.data / "keyring")
    async with build(settings) as house:
        assert await house.inn.vault.reveal("KEY", alice) == "canary"


async def test_who_ran_before_there_were_data_keys_is_made_anew_once(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "data")
    async with build(settings) as house:
        for number, name in enumerate(("ran", "never")):
            made = tenant(name, number)
            seen = replace(made.seen, instance_id="c1") if name == "ran" else made.seen
            async with house.inn.store.begin() as tx:
                await tx.add_tenant(replace(made, seen=seen))
    for _ in range(2):
        async with build(settings) as house:
            tenants = {name: await house.inn.control.tenant(name) for name in ("ran", "never")}
            async with house.inn.store.look() as tx:
                told = [each for _, each in await tx.trail() if each.action == "tenant.restart"]
        assert {name: each.remade_at for name, each in tenants.items()} == {"ran": 2, "never": 1}
        assert [each.detail for each in told] == [{"why": "it had no data key"}]


async def test_a_purge_that_a_crash_cut_short_after_the_key_was_destroyed_goes_on(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "data")
    alice = await filled(settings)
    async with build(settings) as house:
        async with house.inn.store.begin() as tx:
            leaving = replace(alice, wanted=Wanted.GONE, purge=True)
            await tx.change_tenant(leaving, from_revision=alice.revision)
        await Keyring.open(settings.data).destroy(alice.id)
    async with build(settings) as house:
        with pytest.raises(KeyDestroyed):
            await house.inn.vault.reveal("KEY", alice)
        await house.loops._reconciler.work("alice", asyncio.sleep)
        async with house.inn.store.look() as tx:
            assert (await tx.tenant("alice"), list(await tx.secrets.owners())) == (None, [])


# --- before it hurts --------------------------------------------------------------------------------------------------


async def test_the_doctor_says_it_before_it_hurts(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "data")

    async def found() -> tuple[Status, str]:
        finding = await check.check(doctor_host(settings, edge_plan(settings)))
        return finding.status, finding.says

    assert (await found())[0] is Status.SKIP
    alice = await filled(settings)
    status, says = await found()
    assert (status, "there is no copy" in says) == (Status.WARN, True)
    Keyring.open(settings.data).export(tmp_path / "copy")
    assert (await found())[0] is Status.OK
    keyring = Keyring.open(settings.data)
    keyring.seal("t_new", "x", b"x")
    status, says = await found()
    assert (status, says.startswith("1 of ")) == (Status.WARN, True)
    keyring.export(tmp_path / "copy2")
    await keyring.destroy(alice.id)
    status, says = await found()
    assert (status, "2 keys that were destroyed since" in says) == (Status.OK, True)
    for harm in (open_to_others, no_keyring):
        harm(settings.data)
        with pytest.raises(Problem):
            await found()


async def test_the_doctor_says_that_a_rotation_was_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(tmp_path / "data")
    keyring = Keyring.open(settings.data)
    for owner in ("t_1", "t_2"):
        keyring.seal(owner, "msg", b"x")
    rewrap = keyring._keys.rewrap

    def cut_short(owner: str) -> bool:
        if owner == "t_2":
            raise KeyboardInterrupt
        return rewrap(owner)

    with monkeypatch.context() as patch:
        patch.setattr(keyring._keys, "rewrap", cut_short)
        with pytest.raises(KeyboardInterrupt):
            keyring.rotate()
    keyring.export(tmp_path / "copy")
    finding = await check.check(doctor_host(settings, edge_plan(settings)))
    assert (finding.status, finding.says[:6], "rotate" in finding.fix) == (Status.WARN, "1 of 2", True)
    assert keyring.rotate().rewrapped == 1
    keyring.export(tmp_path / "copy2")
    assert (await check.check(doctor_host(settings, edge_plan(settings)))).status is Status.OK


async def test_the_doctor_names_whose_data_key_is_missing_while_the_control_plane_still_has_it(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "data")
    async with build(settings) as house:
        for slot, name in enumerate(("alice", "bob", "never-started")):
            made = replace(tenant(name), slot=slot)
            if name != "never-started":
                made = replace(made, seen=replace(made.seen, instance_id=f"i-{name}"))
            async with house.inn.store.begin() as tx:
                await tx.add_tenant(made)
        await house.inn.directory.load()
        host = partial(doctor_host, settings, edge_plan(settings), house.inn.directory)
        for name in ("alice", "bob"):
            await house.inn.vault.set(name, "KEY", "canary", actor=ADMIN)
        assert (await check.check(host())).status is Status.WARN
        bob = house.inn.directory.tenant("bob")
        assert bob is not None
        (settings.data / "keys" / f"{bob.id}.key").unlink()
        finding = await check.check(host())
    assert (finding.status, "the data keys of bob are missing" in finding.says) == (Status.FAIL, True)
    assert "keyring import" in finding.fix


# --- another keyring in the place of ours, while we run ---------------------------------------------------------------


@pytest.mark.parametrize("owners", [(), ("t_1",)])
def test_a_rotation_meets_another_keyring_and_changes_nothing(tmp_path: Path, owners: tuple[str, ...]) -> None:
    data = tmp_path / "data"
    keyring, file = Keyring.open(data), data / "keyring"
    for owner in owners:
        keyring.seal(owner, "msg", b"x")
    right, noted = file.read_bytes(), (data / "keys/masters").read_bytes()
    Keyring.open(tmp_path / "other")
    wrong = (tmp_path / "other/keyring").read_bytes()
    file.write_bytes(wrong)
    with pytest.raises(KeyringFault, match="lacks the master key"):
        keyring.rotate()
    assert (file.read_bytes(), (data / "keys/masters").read_bytes()) == (wrong, noted)
    file.unlink()
    with pytest.raises(KeyringFault, match="no keyring"):
        keyring.rotate()
    assert not file.exists()
    file.touch(mode=0o600)
    file.write_bytes(right)
    assert Keyring.open(data).rotate().rewrapped == len(owners)
