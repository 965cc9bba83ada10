"""The use cases: what they refuse, what they write, and that asking twice is asking once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from innkeeper.core import errors
from innkeeper.core.access import ADMIN, SYSTEM, digest
from innkeeper.core.instance import State
from innkeeper.core.once import Once
from innkeeper.core.openings import InboxPath
from innkeeper.core.specs import LimitsPatch, SpecPatch
from innkeeper.core.tenant import Access, CustomAgent, Wanted
from tests.support.house import House


@pytest.fixture
async def house() -> House:
    house = House()
    await house.record_release()
    return house


@pytest.mark.parametrize(
    "name", ["", "Alice", "a" * 41, "..", "a/b", "-a", "a-", "ä", "a b", "a.b", "a\n", "\u0430lice", "a\0b", "_a"]
)
async def test_names_that_wont_do(house: House, name: str) -> None:
    with pytest.raises(errors.InvalidName):
        await house.control.create(name, "plain", SpecPatch(), actor=SYSTEM)


@pytest.mark.parametrize("name", ["a", "0", "a" * 40, "a-b", "a--b"])
async def test_names_that_will(house: House, name: str) -> None:
    tenant, _ = await house.control.create(name, "plain", SpecPatch(), actor=SYSTEM)
    assert tenant.name == name


BAD = [
    (SpecPatch(limits=LimitsPatch(memory_mb=63)), "limits.memory_mb"),
    (SpecPatch(limits=LimitsPatch(memory_mb=-1)), "limits.memory_mb"),
    (SpecPatch(limits=LimitsPatch(memory_mb=10**12)), "limits.memory_mb"),
    (SpecPatch(limits=LimitsPatch(cpus=0)), "limits.cpus"),
    (SpecPatch(limits=LimitsPatch(cpus=float("nan"))), "limits.cpus"),
    (SpecPatch(limits=LimitsPatch(cpus=float("inf"))), "limits.cpus"),
    (SpecPatch(limits=LimitsPatch(pids=0)), "limits.pids"),
    (SpecPatch(sleep={"pause_after_s": -1}), "sleep.pause_after_s"),
    (SpecPatch(sleep={"pause_after_s": 100, "stop_after_s": 50}), "sleep.stop_after_s"),
    (SpecPatch(sleep={"nap_after_s": 1}), "sleep.nap_after_s"),
    (SpecPatch(env={"A B": "x"}), "env"),
    (SpecPatch(env={"INNKEEPER_TOKEN": "x"}), "env"),
    (SpecPatch(env={"A": "x\ny"}), "env"),
    (SpecPatch(env={"A": "x" * 40_000}), "env"),
    (SpecPatch(hostnames=("bob.localhost",)), "hostnames"),
    (SpecPatch(hostnames=("*.example.com",)), "hostnames"),
    (SpecPatch(hostnames=("10.0.0.1",)), "hostnames"),
    (SpecPatch(hostnames=("single",)), "hostnames"),
    (SpecPatch(custom=CustomAgent(image="x", port=80)), "custom"),
    (SpecPatch(public_paths=("/a", "/a/../b")), "public_paths"),
    (SpecPatch(inbox=(InboxPath(path="/a/*"),)), "inbox.0.path"),
]


@pytest.mark.parametrize(("patch", "field"), BAD)
async def test_specs_that_wont_do(house: House, patch: SpecPatch, field: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        await house.control.create("alice", "plain", patch, actor=SYSTEM)
    assert caught.value.field == field
    assert caught.value.message
    async with house.store.look() as tx:
        assert await tx.tenants() == []


async def test_rungs_that_nobody_asked_for_give_way(house: House) -> None:
    tenant, _ = await house.control.create("alice", "plain", SpecPatch(sleep={"stop_after_s": 400}), actor=SYSTEM)
    policy = tenant.spec.sleep
    assert (policy.pause_after_s, policy.page_after_s, policy.stop_after_s) == (300, None, 400)


async def test_unknown_agents_and_releases(house: House) -> None:
    with pytest.raises(errors.UnknownAgent, match="nope"):
        await house.control.create("alice", "nope", SpecPatch(), actor=SYSTEM)
    with pytest.raises(errors.UnknownRelease, match=r"9\.9"):
        await house.control.create("alice", "plain", SpecPatch(release="9.9"), actor=SYSTEM)


async def test_a_release_below_the_security_floor_is_refused(house: House) -> None:
    await house.record_release("0.9")
    with pytest.raises(errors.ReleaseTooOld):
        await house.control.create("alice", "plain", SpecPatch(release="0.9"), actor=SYSTEM)


async def test_the_newest_release_is_the_default(house: House) -> None:
    for version in ("1.2", "1.10", "1.9"):
        await house.record_release(version)
    tenant, _ = await house.control.create("alice", "plain", SpecPatch(), actor=SYSTEM)
    assert tenant.spec.release == "1.10"


async def test_a_second_create_is_refused_and_the_first_unharmed(house: House) -> None:
    first, _ = await house.control.create("alice", "plain", SpecPatch(), actor=SYSTEM)
    with pytest.raises(errors.TenantExists):
        await house.control.create("alice", "plain", SpecPatch(env={"A": "1"}), actor=SYSTEM)
    assert await house.tenant() == first


async def test_one_idempotency_key_is_one_operation(house: House) -> None:
    once = Once(key="k1", fingerprint="f")
    _, first = await house.control.create("alice", "plain", SpecPatch(), actor=SYSTEM, once=once)
    _, again = await house.control.create("alice", "plain", SpecPatch(), actor=SYSTEM, once=once)
    assert again == first
    with pytest.raises(errors.IdempotencyMismatch):
        await house.control.create("bob", "plain", SpecPatch(), actor=SYSTEM, once=replace(once, fingerprint="other"))
    somebody = replace(ADMIN, id="somebody else")
    with pytest.raises(errors.TenantExists):
        await house.control.create("alice", "plain", SpecPatch(), actor=somebody, once=once)


async def test_every_change_takes_an_idempotency_key(house: House) -> None:
    await house.create()
    await house.settle()
    control = house.control
    _, first = await control.restart("alice", actor=SYSTEM, once=Once(key="r", fingerprint="f"))
    _, again = await control.restart("alice", actor=SYSTEM, once=Once(key="r", fingerprint="f"))
    assert again == first
    assert (await house.tenant()).revision == 2


async def test_an_update_makes_a_new_revision_only_when_something_changes(house: House) -> None:
    await house.create()
    same, _ = await house.control.update("alice", SpecPatch(), actor=SYSTEM)
    assert same.revision == 1
    changed, _ = await house.control.update("alice", SpecPatch(limits=LimitsPatch(memory_mb=512)), actor=SYSTEM)
    assert (changed.revision, changed.spec.limits.memory_mb, changed.spec.limits.cpus) == (2, 512, 1.0)


async def test_a_folder_left_behind_is_never_handed_to_somebody_else(house: House) -> None:
    await house.create()
    await house.settle()
    await house.control.delete("alice", purge=False, actor=SYSTEM)
    await house.settle()
    with pytest.raises(errors.UnitExists):
        await house.control.create("alice", "plain", SpecPatch(), actor=SYSTEM)
    tenant, _ = await house.control.create("alice", "plain", SpecPatch(), actor=SYSTEM, adopt=True)
    assert tenant.name == "alice"


@pytest.mark.parametrize("now", list(Access))
@pytest.mark.parametrize("before", list(Access))
async def test_whose_login_decides_stands_in_the_agents_config(house: House, before: Access, now: Access) -> None:
    await house.control.create("alice", "plain", SpecPatch(access=before), actor=SYSTEM)
    tenant, _ = await house.control.update("alice", SpecPatch(access=now), actor=SYSTEM)
    opened_or_closed = (before is Access.OPEN) is not (now is Access.OPEN)
    assert (tenant.remade_at == 2) is opened_or_closed, "made anew only where it has to be"


async def test_a_tenant_that_leaves_takes_no_more_changes(house: House) -> None:
    await house.create()
    _, leaving = await house.control.delete("alice", purge=False, actor=SYSTEM)
    for change in (house.control.wake, house.control.restart):
        with pytest.raises(errors.TenantLeaving):
            await change("alice", actor=SYSTEM)
    with pytest.raises(errors.TenantLeaving):
        await house.control.create("alice", "plain", SpecPatch(), actor=SYSTEM)
    again, more = await house.control.delete("alice", purge=True, actor=SYSTEM)
    assert again.purge
    assert more.id != leaving.id
    await house.settle()
    assert (await house.control.operation(leaving.id)).status == "done"
    assert (await house.control.operation(more.id)).status == "done"


async def test_sleep_goes_to_known_tiers_only_and_not_where_it_is_to_be_awake(house: House) -> None:
    await house.create()
    with pytest.raises(errors.Invalid, match="hibernate"):
        await house.control.sleep("alice", "hibernate", actor=SYSTEM)
    await house.control.update("alice", SpecPatch(), wanted=Wanted.AWAKE, actor=SYSTEM)
    with pytest.raises(errors.Conflict):
        await house.control.sleep("alice", "pause", actor=SYSTEM)


async def test_sleep_and_wake(house: House) -> None:
    await house.create()
    await house.settle()
    for tier, state in (("pause", State.PAUSED), ("stop", State.STOPPED)):
        await house.control.sleep("alice", tier, actor=SYSTEM)
        await house.settle()
        assert (await house.tenant()).seen.state is state
        await house.control.wake("alice", actor=SYSTEM)
        await house.settle()
        assert (await house.tenant()).seen.ready


async def test_nobody_unknown_is_changed(house: House) -> None:
    for change in (house.control.wake, house.control.restart):
        with pytest.raises(errors.UnknownTenant):
            await change("nobody", actor=SYSTEM)
    with pytest.raises(errors.UnknownTenant):
        await house.control.delete("nobody", purge=True, actor=SYSTEM)


async def test_slots_are_reused_lowest_first(house: House) -> None:
    for name in ("a", "b", "c"):
        await house.create(name)
        await house.settle(name)
    await house.control.delete("b", purge=True, actor=SYSTEM)
    await house.settle("b")
    await house.create("d")
    assert (await house.tenant("d")).slot == 1


async def test_every_change_is_in_the_trail_without_values(house: House) -> None:
    patch = SpecPatch(env={"TOKEN": "sesame-open"})
    await house.control.create("alice", "plain", patch, actor=SYSTEM)
    await house.control.update("alice", SpecPatch(env={"TOKEN": "sesame-shut"}), actor=SYSTEM)
    async with house.store.look() as tx:
        trail = [entry for _, entry in await tx.trail(tenant="alice")]
    assert [entry.action for entry in trail] == ["tenant.create", "tenant.update"]
    assert "sesame" not in repr(trail)
    assert trail[1].detail["fields"] == ["env"]


async def test_keys_are_shown_once_kept_as_a_hash_and_revoked_at_once(house: House) -> None:
    await house.create()
    key, secret = await house.keys.create("alice", "laptop", actor=SYSTEM)
    assert secret.startswith("ik_k_")
    assert key.digest == digest(secret)
    assert secret not in repr(key)
    assert house.directory.key(digest(secret)) == key
    await house.keys.revoke("alice", key.id, actor=SYSTEM)
    assert house.directory.key(digest(secret)) is None
    with pytest.raises(errors.UnknownKey):
        await house.keys.revoke("alice", key.id, actor=SYSTEM)


async def test_a_key_that_is_asked_for_twice_is_made_once(house: House) -> None:
    await house.create()
    once = Once(key="k", fingerprint="f")
    await house.keys.create("alice", "laptop", actor=SYSTEM, once=once)
    with pytest.raises(errors.KeyMadeBefore):
        await house.keys.create("alice", "laptop", actor=SYSTEM, once=once)
    assert len(await house.keys.all("alice")) == 1


async def test_a_custom_hostname_has_one_owner(house: House) -> None:
    patch = SpecPatch(hostnames=("Chat.Example.com.",))
    tenant, _ = await house.control.create("alice", "plain", patch, actor=SYSTEM)
    assert tenant.spec.hostnames == ("chat.example.com",)
    with pytest.raises(errors.HostnameTaken):
        await house.control.create("bob", "plain", SpecPatch(hostnames=("chat.example.com",)), actor=SYSTEM)
    assert house.directory.at_host("chat.example.com") == tenant
