"""Offline copies: whole, private, remembered, and never a way back for what was destroyed."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import pytest

from innkeeper.keyring import KeyDestroyed, Keyring, KeyringFault
from innkeeper.keyring.restore import restore

WORDS = "correct horse battery staple"


@pytest.mark.parametrize("passphrase", [None, WORDS])
def test_an_export_brings_everything_back(tmp_path: Path, passphrase: str | None) -> None:
    data, file = tmp_path / "data", tmp_path / "copy.json"
    keyring = Keyring.open(data)
    sealed, link = keyring.seal("t_1", "msg", b"x"), keyring.link("", b"row")
    keyring.rotate()
    assert keyring.export(file, passphrase) == 1
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    master = json.loads((data / "keyring").read_text())["keys"][0]["key"]
    assert (master in file.read_text()) is (passphrase is None)
    shutil.rmtree(data / "keys")
    (data / "keyring").unlink()
    (data / "innkeeper.db").touch()
    done = restore(data, file, passphrase)
    assert (done.masters, done.keys, done.left) == (True, 1, 0)
    back = Keyring.open(data)
    assert (back.unseal("t_1", "msg", sealed), back.link("", b"row")) == (b"x", link)
    again = restore(data, file, passphrase)
    assert (again.masters, again.keys, again.left) == (False, 0, 1)


async def test_what_was_destroyed_stays_destroyed_and_the_export_that_holds_it_is_named(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "copy.json"
    keyring = Keyring.open(data)
    for owner in ("t_1", "t_2"):
        keyring.seal(owner, "msg", b"x")
    assert (keyring.facts().exports, keyring.facts().unexported) == ((), 3)
    keyring.export(file)
    assert keyring.facts().unexported == 0
    keyring.seal("t_3", "msg", b"x")
    await keyring.destroy("t_1")
    facts = keyring.facts()
    assert (facts.unexported, facts.exports[0].keys, facts.exports[0].destroyed) == (1, 2, ("t_1",))
    assert restore(data, file).keys == 0
    with pytest.raises(KeyDestroyed):
        Keyring.open(data).seal("t_1", "msg", b"x")


def test_no_export_is_overwritten_and_no_other_keyring_mixed_in(tmp_path: Path) -> None:
    one, other, file = tmp_path / "one", tmp_path / "other", tmp_path / "copy.json"
    Keyring.open(one).export(file)
    before = file.read_bytes()
    with pytest.raises(KeyringFault, match="there already"):
        Keyring.open(one).export(file)
    assert file.read_bytes() == before
    Keyring.open(other)
    theirs = (other / "keyring").read_bytes()
    with pytest.raises(KeyringFault, match="another keyring"):
        restore(other, file)
    assert (other / "keyring").read_bytes() == theirs


def test_the_passphrase_has_to_be_right_and_long(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "copy.json"
    keyring = Keyring.open(data)
    with pytest.raises(KeyringFault, match="fewer than"):
        keyring.export(file, "short")
    assert not file.exists()
    keyring.export(file, WORDS)
    for wrong in (WORDS + "!", None):
        with pytest.raises(KeyringFault, match="passphrase"):
            restore(data, file, wrong)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"kind": "innkeeper keyring", "version": 1}'])
def test_what_is_no_export_changes_nothing(tmp_path: Path, content: str) -> None:
    file = tmp_path / "copy.json"
    file.write_text(content)
    file.chmod(0o600)
    with pytest.raises(KeyringFault, match="no export"):
        restore(tmp_path / "data", file)
    assert not (tmp_path / "data").exists()


def test_a_wrong_export_leaves_the_place_of_the_keyring_free_for_the_right_one(tmp_path: Path) -> None:
    data, right, wrong, old = tmp_path / "data", tmp_path / "right.json", tmp_path / "wrong.json", tmp_path / "old.json"
    Keyring.open(tmp_path / "other").export(wrong)
    keyring = Keyring.open(data)
    keyring.export(old)
    keyring.rotate()
    keyring.export(right)
    (data / "keyring").unlink()
    for other in (wrong, old):  # the old one lacks the newer master key
        with pytest.raises(KeyringFault, match="lacks the master key"):
            restore(data, other)
        assert not (data / "keyring").exists()
    assert restore(data, right).masters


def test_an_export_holds_the_master_keys_that_wrap_what_it_holds(tmp_path: Path) -> None:
    """Also when another process has rotated since the keyring was opened here."""
    data, file = tmp_path / "data", tmp_path / "copy.json"
    keyring = Keyring.open(data)
    sealed = keyring.seal("t_1", "msg", b"x")
    exporting = Keyring.open(data)
    keyring.rotate()
    exporting.export(file)
    shutil.rmtree(data)
    assert restore(data, file).keys == 1
    assert Keyring.open(data).unseal("t_1", "msg", sealed) == b"x"
