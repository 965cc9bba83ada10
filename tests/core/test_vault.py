"""The vault: values go in once, are read by those who act on them, and no ciphertext does in another's place."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from innkeeper.core.access import ADMIN
from innkeeper.core.errors import Conflict, Invalid, UnknownTenant
from innkeeper.core.events import Bus, SecretsChanged, TenantGone
from innkeeper.core.once import Once
from innkeeper.core.ports import Store
from innkeeper.core.secret_errors import SecretExpired, SecretMissing, SecretUnreadable
from innkeeper.core.secrets import PLATFORM, VALUE_MAX_BYTES, VERSIONS_KEPT
from innkeeper.core.tenant import Tenant
from innkeeper.core.vault import KNOWN_FOR_S, Vault
from innkeeper.keyring import KeyDestroyed, Keyring
from tests.store.databases import opened
from tests.store.examples import tenant
from tests.support.house import TurnedClock

A, B = tenant("a", 0), tenant("b", 1)


class Strong:
    """A vault with a real keyring and a real database."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.keyring = Keyring.open(folder)
        self.bus, self.clock = Bus(), TurnedClock()
        self.hidden: list[str] = []
        self.vault = self.another()

    def another(self) -> Vault:
        """Another control plane's, on the same store."""
        return Vault(
            store=self.store,
            seals=self.keyring,
            keys=self.keyring,
            bus=Bus() if hasattr(self, "vault") else self.bus,
            clock=self.clock,
            hide=self.hidden.append,
            hide_chosen=lambda value: self.hidden.append(f"chosen {value}"),
            time_s=self.clock.seconds,
        )

    async def set(self, name: str, value: str, of: str | None = "a", **more: object) -> None:
        await self.vault.set(of, name, value, actor=ADMIN, **more)  # type: ignore[arg-type]

    async def trail(self) -> list[tuple[str, object]]:
        async with self.store.look() as tx:
            return [(each.action, each.detail) for _, each in await tx.trail()]

    async def swap(self, one: tuple[str, str, int], other: tuple[str, str, int]) -> None:
        """Exchange two ciphertexts, as somebody with the database in their hands can."""
        async with self.store.begin() as tx:
            found = []
            for owner, name, number in (one, other):
                version = next(each for each in await tx.secrets.versions(owner, name) if each.version == number)
                found.append((version, await tx.secrets.sealed(version) or b""))
                await tx.secrets.drop(owner, name, [number])
            (first, sealed_first), (second, sealed_second) = found
            await tx.secrets.add(first, sealed_second)
            await tx.secrets.add(second, sealed_first)


@pytest.fixture
async def strong(tmp_path: Path) -> AsyncIterator[Strong]:
    async with opened("sqlite", tmp_path / "db") as store:
        async with store.begin() as write:
            await write.add_tenant(A)
            await write.add_tenant(B)
        yield Strong(store, tmp_path / "data")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()


# --- values -----------------------------------------------------------------------------------------------------------


async def test_what_is_set_is_revealed_to_its_owner_alone_and_hidden_from_logs(strong: Strong) -> None:
    await strong.set("KEY", "canary-a")
    await strong.set("KEY", "canary-platform", None)
    assert await strong.vault.reveal("KEY", A) == "canary-a"
    assert await strong.vault.reveal("KEY", None) == "canary-platform"
    with pytest.raises(SecretMissing, match="b has no secret 'KEY'"):
        await strong.vault.reveal("KEY", B)
    assert {"chosen canary-a", "canary-platform"} <= set(strong.hidden)
    again = strong.another()
    strong.hidden.clear()
    await again.reveal("KEY", A)
    assert strong.hidden == ["chosen canary-a"], "whoever reads it hides it, too"


async def test_the_database_and_the_trail_hold_no_value(strong: Strong, tmp_path: Path) -> None:
    await strong.set("KEY", "canary-value")
    await strong.vault.rotate("a", "KEY", "canary-other", actor=ADMIN)
    await strong.vault.delete("a", "KEY", actor=ADMIN)
    assert await strong.trail() == [
        ("secret.set", {"secret": "KEY", "version": 1}),
        ("secret.rotate", {"secret": "KEY", "version": 2}),
        ("secret.delete", {"secret": "KEY", "version": 2}),
    ]
    assert not any(b"canary" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "value", ["x", "a" * VALUE_MAX_BYTES, "-----BEGIN-----\nline\r\n-----END-----\n", "ü ☃ \t", " "]
)
async def test_values_that_may_be(strong: Strong, value: str) -> None:
    await strong.set("KEY", value)
    assert await strong.another().reveal("KEY", A) == value


@pytest.mark.parametrize(
    "value", ["", "a\0b", "\0", "a" * (VALUE_MAX_BYTES + 1), "ü" * VALUE_MAX_BYTES, "x" * (1 << 20), "\ud800"]
)
async def test_values_that_may_not_be_and_that_no_error_repeats(strong: Strong, value: str) -> None:
    with pytest.raises(Invalid) as refused:
        await strong.set("KEY", value)
    assert len(refused.value.message) < 200
    assert refused.value.field == "value"
    assert list(await strong.vault.all("a")) == []


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", "1x", ".x", "-x", "a b", "ü", "x" * 129, "a\nb", "a\n", "${secret:x}"]
)
async def test_names_that_may_not_be(strong: Strong, name: str) -> None:
    for attempt in (
        strong.set(name, "x"),
        strong.vault.rotate("a", name, "x", actor=ADMIN),
        strong.vault.delete("a", name, actor=ADMIN),
        strong.vault.keep(name, "x", A),
    ):
        with pytest.raises(Invalid):
            await attempt


@pytest.mark.parametrize("nobody", ["nobody", "", "../x", "a\0"])
async def test_secrets_for_nobody(strong: Strong, nobody: str) -> None:
    with pytest.raises(UnknownTenant):
        await strong.set("KEY", "x", nobody)
    with pytest.raises(UnknownTenant):
        await strong.vault.all(nobody)


# --- versions ---------------------------------------------------------------------------------------------------------


async def test_the_newest_version_counts_and_a_few_earlier_ones_are_kept(strong: Strong) -> None:
    for number in range(1, VERSIONS_KEPT + 3):
        await strong.set("KEY", f"value-{number}")
    (secret,) = await strong.vault.all("a")
    assert [each.version for each in secret.versions] == [7, 6, 5, 4, 3]
    assert await strong.vault.reveal("KEY", A) == "value-7"
    back = await strong.vault.rotate("a", "KEY", actor=ADMIN, back_to=5)
    assert (back.newest.version, await strong.vault.reveal("KEY", A)) == (8, "value-5")
    with pytest.raises(Invalid, match="no version 1"):
        await strong.vault.rotate("a", "KEY", actor=ADMIN, back_to=1)
    for both_or_none in ({"value": "x", "back_to": 5}, {}):
        with pytest.raises(Invalid):
            await strong.vault.rotate("a", "KEY", actor=ADMIN, **both_or_none)  # type: ignore[arg-type]


async def test_only_what_is_there_is_rotated_or_deleted(strong: Strong) -> None:
    with pytest.raises(SecretMissing):
        await strong.vault.rotate("a", "KEY", "x", actor=ADMIN)
    with pytest.raises(SecretMissing):
        await strong.vault.delete("a", "KEY", actor=ADMIN)
    assert await strong.trail() == []


async def test_a_deleted_secret_begins_anew(strong: Strong) -> None:
    await strong.set("KEY", "one")
    await strong.vault.delete("a", "KEY", actor=ADMIN)
    with pytest.raises(SecretMissing):
        await strong.vault.reveal("KEY", A)
    await strong.set("KEY", "two")
    (secret,) = await strong.vault.all("a")
    assert (secret.newest.version, await strong.vault.reveal("KEY", A)) == (1, "two")


async def test_an_expired_one_is_not_revealed_from_memory_either(strong: Strong) -> None:
    soon = strong.clock.now() + timedelta(seconds=2)
    await strong.set("KEY", "one", expires_at=soon)
    assert await strong.vault.reveal("KEY", A) == "one"
    strong.clock.turn(2)
    with pytest.raises(SecretExpired, match="KEY"):
        await strong.vault.reveal("KEY", A)
    with pytest.raises(Invalid, match="future"):
        await strong.set("KEY", "two", expires_at=soon)
    await strong.set("KEY", "two")
    assert await strong.vault.reveal("KEY", A) == "two"


async def test_the_same_request_again_sets_nothing_anew(strong: Strong) -> None:
    once = Once(key="k", fingerprint="f")
    for _ in range(2):
        await strong.set("KEY", "one", once=once)
    (secret,) = await strong.vault.all("a")
    assert secret.newest.version == 1


async def test_the_database_keeps_no_hash_that_a_value_could_be_guessed_by(strong: Strong) -> None:
    await strong.set("KEY", "one", once=Once(key="k", fingerprint="f" * 64))
    async with strong.store.look() as tx:
        receipt = await tx.receipt(ADMIN.id, "k")
    assert receipt is not None
    assert receipt.fingerprint == strong.keyring.fingerprint(A.id, b"f" * 64)


async def test_the_same_request_after_the_secret_was_deleted_sets_nothing_either(strong: Strong) -> None:
    once = Once(key="k", fingerprint="f")
    await strong.set("KEY", "one", once=once)
    await strong.vault.delete("a", "KEY", actor=ADMIN)
    with pytest.raises(Conflict, match="Idempotency-Key"):
        await strong.set("KEY", "one", once=once)
    assert await strong.vault.all("a") == []


# --- reading from memory ----------------------------------------------------------------------------------------------


async def test_a_change_counts_at_once_here_and_soon_elsewhere(strong: Strong) -> None:
    elsewhere = strong.another()
    await strong.set("KEY", "one")
    assert (await strong.vault.reveal("KEY", A), await elsewhere.reveal("KEY", A)) == ("one", "one")
    await strong.set("KEY", "two")
    assert (await strong.vault.reveal("KEY", A), await elsewhere.reveal("KEY", A)) == ("two", "one")
    strong.clock.turn(KNOWN_FOR_S)
    assert await elsewhere.reveal("KEY", A) == "two"


async def test_what_is_known_is_read_once(strong: Strong) -> None:
    for number in range(100):
        await strong.set(f"KEY_{number}", f"value-{number}")
    strong.hidden.clear()
    names = [f"KEY_{number}" for number in range(100)]
    for _ in range(3):
        assert len(await strong.vault.reveal_all(names, A)) == 100
    assert len(strong.hidden) == 100


async def test_what_isnt_taken_from_memory_any_more_isnt_kept_there(strong: Strong) -> None:
    await strong.set("KEY", "one")
    await strong.set("KEY", "two", None)
    await strong.vault.reveal("KEY", A)
    assert set(strong.vault._known) == {A.id}
    strong.clock.turn(KNOWN_FOR_S)
    await strong.vault.reveal("KEY", None)
    assert set(strong.vault._known) == {PLATFORM}
    assert await strong.vault.reveal("KEY", A) == "one"


async def test_who_is_gone_is_forgotten(strong: Strong) -> None:
    await strong.set("KEY", "one")
    await strong.vault.reveal("KEY", A)
    async with strong.store.begin() as tx:
        await tx.drop_tenant("a", A.id)
    strong.bus.publish(TenantGone(tenant="a", tenant_id=A.id))
    with pytest.raises(SecretMissing):
        await strong.vault.reveal("KEY", A)


# --- hostile databases and lost keys ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other", [(B.id, "KEY", 1), (PLATFORM, "KEY", 1), (A.id, "OTHER", 1), (A.id, "KEY", 2)], ids=str
)
async def test_ciphertexts_swapped_between_tenants_names_or_versions_are_refused(
    strong: Strong, other: tuple[str, str, int]
) -> None:
    for of, name in (("a", "KEY"), ("a", "KEY"), ("b", "KEY"), (None, "KEY"), ("a", "OTHER")):
        await strong.set(name, f"{of} {name}", of)
    await strong.swap((A.id, "KEY", 1), other)
    vault, owner = strong.another(), {A.id: A, B.id: B, PLATFORM: None}[other[0]]
    with pytest.raises(SecretUnreadable, match="doesn't open"):
        await vault.reveal(other[1], owner)
    with pytest.raises(SecretUnreadable):
        await vault.rotate("a", "KEY", actor=ADMIN, back_to=1)


async def test_after_its_key_is_destroyed_nothing_opens_and_nothing_is_added(strong: Strong) -> None:
    await strong.set("KEY", "one")
    await strong.keyring.destroy(A.id)
    with pytest.raises(KeyDestroyed):
        await strong.another().reveal("KEY", A)
    with pytest.raises(KeyDestroyed):
        await strong.set("KEY", "two")


async def test_a_lost_key_is_not_made_anew_over_what_it_sealed(strong: Strong, tmp_path: Path) -> None:
    await strong.set("KEY", "one")
    (key,) = (tmp_path / "data/keys").glob("*.key")
    there = key.read_bytes()
    key.unlink()
    strong.keyring = Keyring.open(tmp_path / "data")
    vault = strong.another()
    with pytest.raises(SecretUnreadable):
        await vault.reveal("KEY", A)
    with pytest.raises(SecretUnreadable, match="missing"):
        await vault.set("a", "OTHER", "two", actor=ADMIN)
    assert not key.exists()
    key.touch(mode=0o600)
    key.write_bytes(there)
    assert await vault.reveal("KEY", A) == "one"


async def test_the_first_secrets_key_is_made_beside_the_loop_and_before_the_transaction(strong: Strong) -> None:
    made = strong.keyring._keys.made
    at = []

    def noting(owner: str) -> object:
        fresh = strong.keyring._keys.wrapped(owner) is None
        if fresh:
            at.append(threading.current_thread() is threading.main_thread())
        return made(owner)

    strong.keyring._keys.made = noting  # type: ignore[method-assign, assignment]
    await strong.set("KEY", "one")
    await strong.set("KEY", "one", None)
    assert at == [False, False]


# --- for other use cases ----------------------------------------------------------------------------------------------


async def test_names_of_integrations_are_not_for_people(strong: Strong) -> None:
    await strong.vault.keep("integration.github", "token-1", A)
    await strong.vault.keep("integration.github", "token-2", A)
    assert await strong.vault.reveal("integration.github", A) == "token-2"
    for attempt in (
        strong.set("integration.github", "x"),
        strong.vault.rotate("a", "integration.github", "x", actor=ADMIN),
        strong.vault.delete("a", "integration.github", actor=ADMIN),
    ):
        with pytest.raises(Invalid):
            await attempt
    await strong.vault.drop("integration.github", A)
    await strong.vault.drop("integration.github", A)
    with pytest.raises(SecretMissing):
        await strong.vault.reveal("integration.github", A)


async def test_nothing_is_kept_for_a_former_tenant_of_that_name(strong: Strong) -> None:
    former: Tenant = replace(A, id="t_former")
    with pytest.raises(UnknownTenant):
        await strong.vault.keep("integration.github", "token", former)


async def test_everybody_is_told_which_secret_changed_and_not_what_it_is(strong: Strong) -> None:
    told: list[object] = []
    strong.bus.on_event(told.append)
    await strong.set("KEY", "canary")
    await strong.vault.delete("a", "KEY", actor=ADMIN)
    assert [(each.tenant, each.name) for each in told if isinstance(each, SecretsChanged)] == [("a", "KEY")] * 2
    assert "canary" not in repr(told)


async def test_there_is_a_limit(strong: Strong, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("innkeeper.core.vault.SECRETS_MAX", 1)
    await strong.set("ONE", "x")
    await strong.set("ONE", "y")
    with pytest.raises(Conflict):
        await strong.set("TWO", "x")
