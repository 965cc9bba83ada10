"""The end of a tenant: the key first, every step again after a crash, nothing held up by a target that is away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from innkeeper.core import former_snapshots
from innkeeper.core.access import ADMIN, SYSTEM, Actor, ActorKind
from innkeeper.core.boarding import NotYet
from innkeeper.core.errors import UnitFault, UnknownTenant
from innkeeper.core.events import AlertRaised
from innkeeper.core.operations import Operation, OperationKind, Status
from innkeeper.core.people import User
from innkeeper.core.ports import Extent
from innkeeper.core.ports.snapshots import SnapshotStore
from innkeeper.core.ports.traces import Whose
from innkeeper.core.receipt_book import ALERT_FROM
from innkeeper.core.receipts import DATABASE, ErasureReceipt, check
from innkeeper.core.records import head_of
from innkeeper.core.specs import SpecPatch
from innkeeper.keyring.signatures import verified
from innkeeper.runtimes.memory_faults import Call
from innkeeper.units.places import FolderTraces
from tests.support.house import House
from tests.support.snapshots import MemorySnapshots


class Death(BaseException):
    """The process dies: nothing may catch this."""


@dataclass
class Place:
    """Where something of a tenant lies."""

    place: str = "drills"
    held: dict[str, int] = field(default_factory=dict)

    async def extent(self, whose: Whose) -> Extent | None:
        files = self.held.get(whose.tenant_id)
        return None if files is None else Extent(files, 0, 0)

    async def erase(self, whose: Whose) -> None:
        assert whose.operations
        self.held.pop(whose.tenant_id, None)


@pytest.fixture
def house() -> House:
    return House()


def with_copies(house: House) -> MemorySnapshots:
    snapshots = MemorySnapshots(house.data_keys, "local", "remote")
    house.copies = cast("SnapshotStore", snapshots)
    house.traces = [Place()]
    house.start()
    return snapshots


async def furnished(house: House) -> str:
    """A tenant with something everywhere; its id."""
    await house.create()
    await house.settle()
    tenant = await house.tenant()
    await house.vault.set("alice", "KEY", "secret value", actor=ADMIN)
    if house.copies is not None:
        cast("MemorySnapshots", house.copies).add("local", tenant.id, "s1", "s2")
        cast("MemorySnapshots", house.copies).add("remote", tenant.id, "r1")
        cast("Place", house.traces[0]).held[tenant.id] = 3
    return tenant.id


async def purge(house: House, actor: Actor = ADMIN) -> Operation:
    return (await house.control.delete("alice", purge=True, actor=actor))[1]


async def receipt_of(house: House, tenant_id: str) -> ErasureReceipt:
    async with house.store.look() as tx:
        found = await tx.erasures.of(tenant_id)
    assert found is not None
    return found


def statement(house: House, receipt: ErasureReceipt) -> dict[str, Any]:
    """What it says, once it is checked."""
    public_key, key = house.signer.public_key, house.signer.key_id
    checked = check(receipt.document(), public_key=public_key, key=key, verify=verified)
    assert checked.faults == ()
    return dict(checked.statement)


async def test_everything_goes_and_the_receipt_says_so(house: House) -> None:
    with_copies(house)
    async with house.store.begin() as tx:
        await tx.people.add_user(User(id="usr_1", mail="who@example.com", created_at=house.clock.now()))
    tenant_id = await furnished(house)
    asked = await purge(house, Actor(kind=ActorKind.USER, id="usr_1", role=ADMIN.role))
    asked_at = house.clock.now().isoformat(timespec="microseconds")
    house.clock.turn(60)
    await house.settle()
    receipt = await receipt_of(house, tenant_id)
    ended = await house.control.operation(asked.id)
    assert (ended.status, ended.detail["result"]["receipt"]) == (Status.DONE, receipt.id)
    says = statement(house, receipt)
    assert says["tenant"]["name"] == "alice"
    assert says["tenant"]["id"] == tenant_id
    by = {"kind": "user", "id": "usr_1", "name": "who@example.com"}
    assert says["asked"] == {"by": by, "at": asked_at, "request": None, "operations": [asked.id]}
    assert says["erased"]["snapshots"] == [
        {"target": "local", "snapshots": ["s1", "s2"], "erased": True, "says": None},
        {"target": "remote", "snapshots": ["r1"], "erased": True, "says": None},
    ]
    assert says["erased"]["unit"]["files"] == 1
    assert says["erased"]["places"]["drills"]["files"] == 3
    assert says["erased"]["rows"] == {"tenants": 1, "operations": 2, "secrets": 1}
    assert house.units.folders == {}
    assert house.data_keys.destroyed == [tenant_id]
    assert receipt.pending == (DATABASE,)
    kept = " ".join(each["what"] for each in says["kept"])
    assert "audit trail" in kept
    assert "target" not in kept


async def test_the_head_of_the_trail_is_one_that_it_has(house: House) -> None:
    tenant_id = await furnished(house)
    await purge(house)
    await house.settle()
    receipt = await receipt_of(house, tenant_id)
    verdict = await house.records.verify(head=head_of(statement(house, receipt)["trail_head"]))
    assert verdict.ok
    async with house.store.look() as tx:
        line = (await tx.trail(tenant="alice"))[-1][1]
    assert receipt.signed is not None
    assert (line.detail["receipt"], line.detail["receipt_sha256"]) == (receipt.id, receipt.signed.digest)


async def test_the_key_goes_before_the_data(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with_copies(house)
    tenant_id = await furnished(house)
    seen: list[str] = []
    for name, thing, method in (
        ("key", house.data_keys, "destroy"),
        ("snapshots", house.copies, "destroy"),
        ("unit", house.units, "erase"),
        ("place", house.traces[0], "erase"),
        ("rows", house.store, "erase"),
    ):
        _tell_before(monkeypatch, thing, method, lambda name=name: seen.append(name))  # type: ignore[misc]
    await purge(house)
    await house.settle()
    assert seen == ["key", "snapshots", "snapshots", "unit", "place", "rows"]
    assert house.data_keys.destroyed == [tenant_id]


def _tell_before(patch: pytest.MonkeyPatch, thing: object, method: str, tell: Callable[[], object]) -> None:
    real = getattr(thing, method)

    async def told(*args: Any, **kwargs: Any) -> Any:
        tell()
        return await real(*args, **kwargs)

    patch.setattr(thing, method, told)


async def test_a_delete_without_a_purge_says_what_stays(house: House) -> None:
    with_copies(house)
    tenant_id = await furnished(house)
    _, asked = await house.control.delete("alice", purge=False, actor=ADMIN)
    await house.settle()
    ended = await house.control.operation(asked.id)
    assert ended.detail["result"] == {"receipt": None, "kept": ["folder", "data key", "snapshots", "usage"]}
    assert house.data_keys.destroyed == []
    async with house.store.look() as tx:
        assert await tx.erasures.of(tenant_id) is None


# --- places that don't answer -----------------------------------------------------------------------------------------


async def test_a_target_that_is_away_holds_nothing_up_and_is_caught_up_with(house: House) -> None:
    snapshots = with_copies(house)
    tenant_id = await furnished(house)
    snapshots.away.add("remote")
    await purge(house)
    await house.settle()
    receipt = await receipt_of(house, tenant_id)
    says = statement(house, receipt)
    assert says["erased"]["snapshots"][1] == {
        "target": "remote", "snapshots": None, "erased": False, "says": "The target remote doesn't answer",
    }  # fmt: skip
    assert any("can't be read without the key" in each["why"] for each in says["kept"])
    assert receipt.pending == (DATABASE, "snapshots:remote")

    await house.receipts.catch_up()
    receipt = await receipt_of(house, tenant_id)
    assert (receipt.pending, receipt.supplements, receipt.failures) == (("snapshots:remote",), (), 1)
    await house.receipts.catch_up()  # not its turn yet
    assert (await receipt_of(house, tenant_id)).failures == 1
    snapshots.away.clear()
    house.clock.turn(5)
    await house.receipts.catch_up()
    receipt = await receipt_of(house, tenant_id)
    assert (receipt.pending, receipt.try_at) == ((), None)
    assert statement(house, receipt) == says
    assert [each.statement["erased"] for each in receipt.supplements] == [
        {"snapshots": [{"target": "remote", "erased": True}]}
    ]
    assert snapshots.held == {}


async def test_a_target_that_hangs_is_left_after_a_while(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(former_snapshots, "LIST_S", 0.01)
    monkeypatch.setattr(former_snapshots, "DESTROY_S", 0.01)
    snapshots = with_copies(house)
    tenant_id = await furnished(house)
    snapshots.hanging.add("local")
    snapshots.stubborn.add("remote")
    await purge(house)
    await house.settle()
    receipt = await receipt_of(house, tenant_id)
    says = [each["says"] for each in statement(house, receipt)["erased"]["snapshots"]]
    assert says == ["It wasn't done within 0.01 s", "1 files couldn't be removed"]
    assert receipt.pending == (DATABASE, "snapshots:local", "snapshots:remote")


async def test_a_disk_that_is_missing_isnt_taken_for_an_empty_one(house: House) -> None:
    snapshots = with_copies(house)
    tenant_id = await furnished(house)
    house.should_be_there = {"local": 2, "remote": 1}
    lost = snapshots.held.pop(("remote", tenant_id))
    await purge(house)
    await house.settle()
    receipt = await receipt_of(house, tenant_id)
    local, remote = statement(house, receipt)["erased"]["snapshots"]
    assert (local["erased"], remote["erased"]) == (True, False)
    assert "is its disk there?" in remote["says"]
    await house.receipts.catch_up()
    snapshots.held["remote", tenant_id] = lost
    house.clock.turn(5)
    with pytest.MonkeyPatch.context() as patch:
        _dies_at(patch, house, "copies.destroy", 0, after=True)
        with pytest.raises(Death):
            await house.receipts.catch_up()
    house.clock.turn(60)
    await house.receipts.catch_up()
    receipt = await receipt_of(house, tenant_id)
    assert (receipt.pending, len(receipt.supplements), snapshots.held) == ((), 1, {})


async def test_what_can_never_be_erased_is_told_of_once_a_day(house: House) -> None:
    snapshots = with_copies(house)
    await furnished(house)
    snapshots.away.add("remote")
    await purge(house)
    await house.settle()
    for _ in range(ALERT_FROM - 1):
        await house.receipts.catch_up()
        house.clock.turn(86400)
    assert not any(isinstance(each, AlertRaised) for each in house.happened)
    await house.receipts.catch_up()
    alerts = [each for each in house.happened if isinstance(each, AlertRaised)]
    assert [(each.tenant, each.code) for each in alerts] == [("alice", "erasure.unfinished")]
    assert "remote" in alerts[0].says


async def test_a_folder_that_cant_be_removed_is_told_and_tried_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant_id = await furnished(house)
    asked = await purge(house)
    with monkeypatch.context() as patch:
        _tell_before(patch, house.units, "erase", _stuck)
        with pytest.raises(UnitFault):
            await house.settle()
    held_up = await house.control.operation(asked.id)
    assert held_up.error is not None
    assert "immutable" in held_up.error.message
    assert house.data_keys.destroyed == [tenant_id]  # what is left there is no longer of use to anybody's copies
    await house.settle()
    assert house.units.folders == {}
    assert (await receipt_of(house, tenant_id)).issued_at is not None


def _stuck() -> None:
    raise UnitFault("It is immutable.")


async def test_whoever_works_on_the_data_ends_first(house: House) -> None:
    tenant_id = await furnished(house)
    house.worked_on = ["alice"]
    await purge(house)
    with pytest.raises(NotYet):
        await house.settle()
    assert house.data_keys.destroyed == []
    house.worked_on = []
    await house.settle()
    assert house.data_keys.destroyed == [tenant_id]


@pytest.mark.parametrize("is_shared", [False, True])
async def test_what_was_sent_to_be_imported_goes_too(house: House, tmp_path: Path, is_shared: bool) -> None:
    house.traces = [FolderTraces(tmp_path, "imports")]
    house.start()
    await furnished(house)
    (tmp_path / "up_0123").mkdir()
    (tmp_path / "up_0123/source").write_text("all that alice has")
    other = replace(await house.tenant(), name="other", id="tn_other")
    taken, still_to_take = (house.works.new(OperationKind.IMPORT, each) for each in (await house.tenant(), other))
    together = [taken.id, *([still_to_take.id] if is_shared else [])]
    async with house.store.begin() as tx:
        for each in (taken, still_to_take):
            await tx.add_operation(replace(each, detail={"upload": "up_0123", "together": together}))
    await purge(house)
    await house.settle()
    assert (tmp_path / "up_0123").exists() is is_shared


# --- the process dies -------------------------------------------------------------------------------------------------


EFFECTS = ("data_keys.destroy", "copies.listing", "copies.destroy", "units.erase", "trace.erase", "store.begin")


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("after", [False, True])
async def test_a_crash_at_any_step_ends_in_the_same_place(effect: str, after: bool) -> None:
    expected, _ = await _told(None, 0, after=after)
    crashes = 0
    for nth in range(30):
        found, died = await _told(effect, nth, after=after)
        crashes += died
        assert found == expected, f"{effect} number {nth + 1}"
        if not died:
            break
    assert crashes


async def _told(effect: str | None, nth: int, *, after: bool) -> tuple[dict[str, Any], bool]:
    """What the receipt says, without ids and times, and whether the process died on the way."""
    house = House()
    snapshots = with_copies(house)
    tenant_id = await furnished(house)
    house.should_be_there = {"local": 2, "remote": 1}
    await purge(house)
    died = False
    if effect is not None:
        with pytest.MonkeyPatch.context() as patch:
            lives = _dies_at(patch, house, effect, nth, after=after)
            try:
                await house.settle()
            except Death:
                died = True
            assert lives() is not died
        house.clock.turn(60)
        house.start("two")
    await house.settle()
    assert (snapshots.held, house.units.folders, cast("Place", house.traces[0]).held) == ({}, {}, {})
    assert set(house.data_keys.destroyed) == {tenant_id}
    async with house.store.look() as tx:
        assert await tx.tenant("alice") is None
        assert [each.tenant_id for each in await tx.erasures.page()] == [tenant_id]
    says = statement(house, await receipt_of(house, tenant_id))
    erased = says["erased"]
    return {**erased, "data_key": None, "kept": len(says["kept"]), "by": says["asked"]["by"]}, died


def _dies_at(patch: pytest.MonkeyPatch, house: House, effect: str, nth: int, *, after: bool) -> Callable[[], bool]:
    name, method = effect.split(".")
    thing = house.traces[0] if name == "trace" else getattr(house, name)
    real, count, dead = getattr(thing, method), 0, False

    def is_time() -> bool:
        nonlocal count, dead
        if dead:
            raise Death  # a dead process does nothing more
        count += 1
        dead = count == nth + 1
        return dead

    async def dying(*args: Any, **kwargs: Any) -> Any:
        if is_time():
            if after:
                await real(*args, **kwargs)
            raise Death
        return await real(*args, **kwargs)

    @asynccontextmanager
    async def dying_in(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        now = is_time()
        async with real(*args, **kwargs) as tx:
            yield tx
            if now and not after:
                raise Death
        if now:
            raise Death

    patch.setattr(thing, method, dying_in if method == "begin" else dying)
    return lambda: not dead


async def test_two_who_erase_at_once_make_one_receipt(house: House) -> None:
    tenant_id = await furnished(house)
    await purge(house)
    await house.settle()
    async with house.store.look() as tx:
        first = await tx.erasures.of(tenant_id)
    assert first is not None
    with pytest.raises(Exception, match="alice"):
        await house.control.delete("alice", purge=True, actor=SYSTEM)
    assert await receipt_of(house, tenant_id) == first


# --- deleted first, purged later --------------------------------------------------------------------------------------


async def deleted(house: House, *, adopt: bool = False) -> str:
    """A tenant that was deleted without a purge; its id."""
    await house.record_release()
    await house.control.create("alice", "plain", SpecPatch(), actor=ADMIN, adopt=adopt)
    await house.settle()
    tenant_id = (await house.tenant()).id
    await house.control.delete("alice", purge=False, actor=ADMIN)
    await house.settle()
    return tenant_id


async def test_what_a_delete_has_left_is_purged_by_its_name(house: House) -> None:
    snapshots = with_copies(house)
    tenant_id = await deleted(house)
    snapshots.add("local", tenant_id, "s1")
    assert "alice" in house.units.folders
    await purge(house)
    await house.settle()
    says = statement(house, await receipt_of(house, tenant_id))
    assert (says["tenant"]["id"], says["tenant"]["agent"]) == (tenant_id, None)
    assert says["asked"]["by"]["id"] == "admin"
    assert says["erased"]["snapshots"][0]["snapshots"] == ["s1"]
    assert (house.units.folders, snapshots.held, house.data_keys.destroyed) == ({}, {}, [tenant_id])
    assert not [deed for deed in house.runtime.journal if deed.call is Call.CREATE][1:]  # nothing of it ran again
    with pytest.raises(UnknownTenant):
        await purge(house)


async def test_each_former_tenant_of_the_name_in_turn(house: House) -> None:
    first = await deleted(house)
    second = await deleted(house, adopt=True)
    for tenant_id in (second, first):
        await purge(house)
        await house.settle()
        kept = [each["what"] for each in statement(house, await receipt_of(house, tenant_id))["kept"]]
        assert any(first in each for each in kept) is (tenant_id == second), "what is still there is named"
    assert house.data_keys.destroyed == [second, first]
    with pytest.raises(UnknownTenant):
        await purge(house)


async def test_a_folder_of_which_the_trail_knows_nothing(house: House) -> None:
    house.units.folders["alice"] = {"plain.json": b"x"}
    await purge(house)
    await house.settle()
    assert house.units.folders == {}
    with pytest.raises(UnknownTenant):
        await house.control.delete("bob", purge=True, actor=ADMIN)


async def test_a_delete_alone_brings_nobody_back(house: House) -> None:
    await deleted(house)
    with pytest.raises(UnknownTenant):
        await house.control.delete("alice", purge=False, actor=ADMIN)


async def test_a_tenant_that_has_the_name_now_is_the_one_that_goes(house: House) -> None:
    first = await deleted(house)
    second = await deleted(house, adopt=True)
    await house.control.create("alice", "plain", SpecPatch(), actor=ADMIN, adopt=True)
    await house.settle()
    third = (await house.tenant()).id
    await purge(house)
    await house.settle()
    assert house.data_keys.destroyed == [third]
    assert third not in (first, second)
