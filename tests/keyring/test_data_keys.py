"""Data keys: each tenant's own, made once, destroyed for good, and bound to the right keyring."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from innkeeper.keyring import KeyDestroyed, Keyring, KeyringFault
from innkeeper.keyring.restore import restore


def files(data: Path) -> dict[str, bytes]:
    """All that lies in the data directory, locks apart."""
    return {
        str(path.relative_to(data)): path.read_bytes()
        for path in sorted(data.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


# --- made -------------------------------------------------------------------------------------------------------------


def test_of_many_that_seal_at_once_one_makes_the_key(tmp_path: Path) -> None:
    barrier = Barrier(8)

    def seal(number: int) -> tuple[Keyring, bytes]:
        keyring = Keyring.open(tmp_path)
        barrier.wait()
        return keyring, keyring.seal("t_1", "msg", str(number).encode())

    with ThreadPoolExecutor(8) as pool:
        sealed = list(pool.map(seal, range(8)))
    assert [sealed[0][0].unseal("t_1", "msg", each) for _, each in sealed] == [str(n).encode() for n in range(8)]


def test_reading_makes_no_key(tmp_path: Path) -> None:
    keyring = Keyring.open(tmp_path)
    with pytest.raises(KeyringFault):
        keyring.unseal("t_1", "msg", b"2\ndk_1\n" + b"x" * 40)
    assert not keyring.has("t_1")
    assert not (tmp_path / "keys/t_1.key").exists()


@pytest.mark.parametrize("owner", ["", "../x", "a/b", ".", "a\0b", "x" * 200])
def test_an_owner_is_never_a_path(tmp_path: Path, owner: str) -> None:
    keyring = Keyring.open(tmp_path / "data")
    before = files(tmp_path)
    with pytest.raises(KeyringFault):
        keyring.seal(owner, "msg", b"x")
    assert files(tmp_path) == before


def test_a_file_in_anothers_place_does_not_open(tmp_path: Path) -> None:
    keyring = Keyring.open(tmp_path)
    sealed = keyring.seal("t_1", "msg", b"x")
    keyring.seal("t_2", "msg", b"y")
    shutil.copy(tmp_path / "keys/t_1.key", tmp_path / "keys/t_2.key")
    with pytest.raises(KeyringFault, match="of another"):
        Keyring.open(tmp_path).unseal("t_2", "msg", sealed)
    swapped = json.loads((tmp_path / "keys/t_1.key").read_text()) | {"owner": "t_2"}
    (tmp_path / "keys/t_2.key").write_text(json.dumps(swapped))
    with pytest.raises(KeyringFault, match="isn't what"):
        Keyring.open(tmp_path).unseal("t_2", "msg", sealed)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 1}', b'{"version": 2, "id": "dk_1"}'])
def test_a_broken_key_is_a_fault_and_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    Keyring.open(tmp_path).seal("t_1", "msg", b"x")
    (tmp_path / "keys/t_1.key").write_bytes(content)
    with pytest.raises(KeyringFault, match="broken"):
        Keyring.open(tmp_path).seal("t_1", "msg", b"x")
    with pytest.raises(KeyringFault, match="broken"):
        Keyring.open(tmp_path).broker_token("t_1", 1)
    assert (tmp_path / "keys/t_1.key").read_bytes() == content


# --- destroyed --------------------------------------------------------------------------------------------------------


async def test_what_is_destroyed_is_gone_from_memory_disk_and_every_copy_and_never_made_again(tmp_path: Path) -> None:
    keyring = Keyring.open(tmp_path)
    sealed, token = keyring.seal("t_1", "msg", b"x"), keyring.broker_token("t_1", 1)
    other = keyring.seal("t_2", "msg", b"y")
    key = (tmp_path / "keys/t_1.key").read_bytes()
    await keyring.destroy("t_1")
    await keyring.destroy("t_1")  # a crash may have come before its end was noted
    for ring in (keyring, Keyring.open(tmp_path)):
        with pytest.raises(KeyDestroyed):
            ring.unseal("t_1", "msg", sealed)
        with pytest.raises(KeyDestroyed):
            ring.seal("t_1", "msg", b"new")
        tokens = {ring.broker_token("t_1", 1), ring.broker_token("t_1", 1), token}
        assert len(tokens) == 3, "nobody's token is the tenant's any more"
        assert ring.unseal("t_2", "msg", other) == b"y"
    assert not any(json.loads(key)["wrapped"].encode() in content for content in files(tmp_path).values())
    (tmp_path / "keys/t_1.key").write_bytes(key)  # out of a backup of the folder
    (tmp_path / "keys/t_1.key").chmod(0o600)
    with pytest.raises(KeyDestroyed):
        Keyring.open(tmp_path).unseal("t_1", "msg", sealed)
    assert not (tmp_path / "keys/t_1.key").exists()


async def test_what_a_crash_left_half_written_is_destroyed_with_the_key(tmp_path: Path) -> None:
    keyring = Keyring.open(tmp_path)
    for owner in ("t_1", "t_2"):
        keyring.seal(owner, "msg", b"x")
        shutil.copy(tmp_path / f"keys/{owner}.key", tmp_path / f"keys/.{owner}.key.0123456789abcdef")
    await keyring.destroy("t_1")
    assert not any(path.name.startswith(".t_1") for path in (tmp_path / "keys").iterdir())
    Keyring.open(tmp_path)
    assert not any(path.name.startswith(".t_2") for path in (tmp_path / "keys").iterdir())


async def test_who_never_had_a_key_gets_none_after_its_destruction(tmp_path: Path) -> None:
    keyring = Keyring.open(tmp_path)
    await keyring.destroy("t_1")
    with pytest.raises(KeyDestroyed):
        keyring.seal("t_1", "msg", b"x")
    assert keyring.has("t_1")


# --- the wrong keyring, or none ---------------------------------------------------------------------------------------


def test_another_keyring_is_refused_at_every_start_and_nothing_is_changed(tmp_path: Path) -> None:
    data, other = tmp_path / "data", tmp_path / "other"
    Keyring.open(data).seal("t_1", "msg", b"x")
    Keyring.open(other)
    shutil.copy(other / "keyring", data / "keyring")
    before = files(data)
    for _ in range(2):
        with pytest.raises(KeyringFault, match="lacks the master key"):
            Keyring.open(data)
    assert files(data) == before


def test_another_key_by_the_same_id_is_refused(tmp_path: Path) -> None:
    Keyring.open(tmp_path).seal("t_1", "msg", b"x")
    kept = json.loads((tmp_path / "keyring").read_text())
    kept["keys"][0]["key"] = "bm90aGluZ25vdGhpbmdub3RoaW5nbm90aGluZ25vdGg="
    (tmp_path / "keyring").write_text(json.dumps(kept))
    before = files(tmp_path)
    with pytest.raises(KeyringFault, match="another key by the name"):
        Keyring.open(tmp_path)
    assert files(tmp_path) == before
    (tmp_path / "keys/masters").unlink()  # without the note, the data keys tell
    with pytest.raises(KeyringFault, match="isn't what"):
        Keyring.open(tmp_path)
    assert not (tmp_path / "keys/masters").exists()


def test_an_old_master_key_may_not_be_left_out(tmp_path: Path) -> None:
    keyring = Keyring.open(tmp_path)
    keyring.rotate()
    kept = json.loads((tmp_path / "keyring").read_text())
    kept["keys"] = kept["keys"][1:]
    (tmp_path / "keyring").write_text(json.dumps(kept))
    with pytest.raises(KeyringFault, match="lacks"):  # the trail hangs on it
        Keyring.open(tmp_path)


@pytest.mark.parametrize("left", ["keys/masters", "keys/t_1.key", "innkeeper.db"])
def test_a_missing_keyring_is_not_made_anew_where_something_was_made_with_it(tmp_path: Path, left: str) -> None:
    Keyring.open(tmp_path).seal("t_1", "msg", b"x")
    (tmp_path / "innkeeper.db").touch()
    for path in [path for path in tmp_path.rglob("*") if path.is_file() and path != tmp_path / left]:
        path.unlink()
    before = files(tmp_path)
    for _ in range(2):
        with pytest.raises(KeyringFault, match="no keyring") as fault:
            Keyring.open(tmp_path)
        assert "import" in fault.value.hint
    assert files(tmp_path) == before


def test_whoever_only_looks_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyringFault):
        Keyring.open(tmp_path / "data", make=False)
    assert not (tmp_path / "data").exists()


# --- rotation ---------------------------------------------------------------------------------------------------------


def wrappers(data: Path) -> set[str]:
    """The master keys that wrap something."""
    return {json.loads(path.read_text())["master"] for path in (data / "keys").glob("*.key")}


def test_a_rotation_wraps_every_key_by_a_new_one_while_all_is_in_use(tmp_path: Path) -> None:
    keyring, meanwhile = Keyring.open(tmp_path), Keyring.open(tmp_path)
    sealed = {owner: keyring.seal(owner, "msg", owner.encode()) for owner in ("t_1", "t_2", "t_3")}
    old = wrappers(tmp_path)
    done = keyring.rotate()
    assert (done.rewrapped, {done.newest}, done.added) == (3, wrappers(tmp_path), done.newest)
    assert done.newest not in old
    for ring in (keyring, meanwhile, Keyring.open(tmp_path)):
        assert [ring.unseal(owner, "msg", each) for owner, each in sealed.items()] == [b"t_1", b"t_2", b"t_3"]
    meanwhile.seal("t_4", "msg", b"x")
    assert [(each.wraps, each.id == done.newest) for each in keyring.facts().masters][-1][1]


DIES = """
import os, sys
from pathlib import Path
from innkeeper.keyring import Keyring, files
keyring, left, real = Keyring.open(Path(sys.argv[1])), int(sys.argv[2]), os.fsync
def dying(descriptor):
    global left
    left -= 1
    if left < 0:
        os._exit(9)
    real(descriptor)
files.os.fsync = dying
keyring.rotate()
"""


def test_a_crash_at_any_point_of_a_rotation_loses_nothing_and_the_next_one_finishes(tmp_path: Path) -> None:
    for survived in range(40):
        data = tmp_path / str(survived)
        keyring = Keyring.open(data)
        sealed = {owner: keyring.seal(owner, "msg", owner.encode()) for owner in ("t_1", "t_2")}
        token, link = keyring.broker_token("t_1", 1), keyring.link("", b"row")
        ended = subprocess.run([sys.executable, "-c", DIES, str(data), str(survived)], check=False)
        again = Keyring.open(data)
        assert [again.unseal(owner, "msg", each) for owner, each in sealed.items()] == [b"t_1", b"t_2"]
        assert (again.broker_token("t_1", 1), again.link("", b"row")) == (token, link)
        if ended.returncode == 0:
            break
        assert ended.returncode == 9
        again.rotate()
        facts = again.facts()
        assert [each.wraps for each in facts.masters][-1] == 2, "the second run finishes the first's"
        assert len(facts.masters) == 2 or survived > 5, "without another key, as long as there was something to finish"
    assert survived > 5


async def test_a_rotation_brings_nothing_back(tmp_path: Path) -> None:
    keyring = Keyring.open(tmp_path)
    keyring.seal("t_1", "msg", b"x")
    keyring.seal("t_2", "msg", b"x")
    await keyring.destroy("t_1")
    assert keyring.rotate().rewrapped == 1
    assert (keyring.facts().data_keys, keyring.facts().destroyed) == (1, 1)


def test_two_rotations_at_once_lose_no_key(tmp_path: Path) -> None:
    rings = [Keyring.open(tmp_path) for _ in range(4)]
    sealed = rings[0].seal("t_1", "msg", b"x")
    barrier = Barrier(4)

    def rotate(keyring: Keyring) -> None:
        barrier.wait()
        keyring.rotate()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(rotate, rings))
    after = Keyring.open(tmp_path)
    assert after.unseal("t_1", "msg", sealed) == b"x"
    assert len(after.facts().masters) == 5


async def test_what_another_process_has_destroyed_is_forgotten_here_too(tmp_path: Path) -> None:
    one, other = Keyring.open(tmp_path), Keyring.open(tmp_path)
    sealed = one.seal("t_1", "msg", b"x")
    token = other.broker_token("t_1", 1)
    assert other.unseal("t_1", "msg", sealed) == b"x"
    await one.destroy("t_1")
    with pytest.raises(KeyDestroyed):
        other.unseal("t_1", "msg", sealed)
    with pytest.raises(KeyDestroyed):
        other.seal("t_1", "msg", b"y")
    assert other.broker_token("t_1", 1) != token


def test_what_to_do_with_a_broken_data_key_is_said(tmp_path: Path) -> None:
    keyring, copy = Keyring.open(tmp_path / "data"), tmp_path / "copy.json"
    sealed = keyring.seal("t_1", "msg", b"x")
    keyring.export(copy)
    path = tmp_path / "data/keys/t_1.key"
    path.write_text("{")
    with pytest.raises(KeyringFault, match="broken") as fault:
        keyring.rotate()
    assert "Move it aside" in fault.value.hint
    path.rename(tmp_path / "broken")
    assert restore(tmp_path / "data", copy).keys == 1
    assert Keyring.open(tmp_path / "data").unseal("t_1", "msg", sealed) == b"x"


# --- what snapshots are encrypted under -------------------------------------------------------------------------------


def test_a_repositorys_password_is_its_owners_and_stays_through_rotations(tmp_path: Path) -> None:
    keyring = Keyring.open(tmp_path)
    for owner in ("tn_1", "tn_2"):
        keyring.broker_token(owner, 1)
    first, second = (keyring.repository_password(owner) for owner in ("tn_1", "tn_2"))
    assert first != second
    assert len(first) == 43  # 256 bits
    keyring.rotate()
    assert Keyring.open(tmp_path).repository_password("tn_1") == first


def test_no_key_is_made_to_open_a_repository(tmp_path: Path) -> None:
    keyring = Keyring.open(tmp_path)
    with pytest.raises(KeyringFault, match="no data key"):
        keyring.repository_password("tn_1")
    assert not (tmp_path / "keys/tn_1.key").exists()


async def test_a_destroyed_key_opens_no_repository(tmp_path: Path) -> None:
    keyring = Keyring.open(tmp_path)
    await keyring.ready("tn_1")
    keyring.repository_password("tn_1")
    await keyring.destroy("tn_1")
    for each in (keyring, Keyring.open(tmp_path)):
        with pytest.raises(KeyDestroyed):
            each.repository_password("tn_1")
