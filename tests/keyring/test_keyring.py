"""The keyring: derived tokens, and the files that they rest on."""

from __future__ import annotations

import base64
import hmac
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from innkeeper.core.redaction import redact
from innkeeper.keyring import Keyring, KeyringFault, admin_token


def test_tokens_differ_by_tenant_epoch_and_purpose_and_are_stable(tmp_path: Path) -> None:
    keyring = Keyring.open(tmp_path)
    tokens = {
        keyring.broker_token("t_1", 1),
        keyring.broker_token("t_1", 2),
        keyring.broker_token("t_11", 1),
        keyring.broker_token("t_2", 1),
        keyring.gateway_token("t_1", 1),
    }
    assert len({token[5:] for token in tokens}) == 5
    again = Keyring.open(tmp_path)
    assert again.broker_token("t_1", 1) == keyring.broker_token("t_1", 1)
    assert again.gateway_token("t_1", 1).startswith("ik_g_")


def test_tokens_hang_on_the_tenants_own_key_and_not_on_the_master(tmp_path: Path) -> None:
    keyring = Keyring.open(tmp_path)
    before = keyring.broker_token("t_1", 1), keyring.gateway_token("t_1", 1)
    keyring.rotate()
    assert (keyring.broker_token("t_1", 1), keyring.gateway_token("t_1", 1)) == before
    (tmp_path / "keys/t_1.key").unlink()
    assert Keyring.open(tmp_path).broker_token("t_1", 1) != before[0]


def test_no_log_tells_a_master_key_old_or_new(tmp_path: Path) -> None:
    Keyring.open(tmp_path).rotate()
    keys = [each["key"] for each in json.loads((tmp_path / "keyring").read_text())["keys"]]
    assert len(keys) == 2
    assert redact(f"the keys are {keys}") == "the keys are ['…', '…']"


# --- sealing ----------------------------------------------------------------------------------------------------------


def test_what_is_sealed_opens_for_its_tenant_and_name_alone(tmp_path: Path) -> None:
    keyring = Keyring.open(tmp_path)
    sealed = keyring.seal("t_1", "msg_1", b"canary\n\0")
    assert b"canary" not in sealed
    assert sealed != keyring.seal("t_1", "msg_1", b"canary\n\0")
    assert Keyring.open(tmp_path).unseal("t_1", "msg_1", sealed) == b"canary\n\0"
    for tenant_id, name in (("t_2", "msg_1"), ("t_1", "msg_2")):
        with pytest.raises(KeyringFault):
            keyring.unseal(tenant_id, name, sealed)


def test_what_was_changed_or_is_none_of_ours_doesnt_open(tmp_path: Path) -> None:
    keyring = Keyring.open(tmp_path)
    sealed = keyring.seal("t_1", "msg_1", b"x")
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for broken in (
        changed,
        sealed[:-1],
        sealed[:30],
        b"",
        b"1\nmk_other\n" + b"x" * 40,
        b"1" + sealed[1:],
        b"3" + sealed[1:],
    ):
        with pytest.raises(KeyringFault) as fault:
            keyring.unseal("t_1", "msg_1", broken)
        assert fault.value.hint


def test_a_new_master_key_changes_neither_fingerprints_nor_door_seals_nor_links(tmp_path: Path) -> None:
    def lasting(keyring: Keyring) -> list[str]:
        return [keyring.fingerprint("t_1", b"x"), keyring.door_seal("ses_1", "t_1"), keyring.link("", b"row")]

    before = Keyring.open(tmp_path)
    sealed, values = before.seal("t_1", "msg_1", b"x"), lasting(before)
    before.rotate()
    after = Keyring.open(tmp_path)
    assert after.unseal("t_1", "msg_1", sealed) == b"x"
    assert lasting(after) == lasting(before) == values
    assert len({values[0], after.fingerprint("t_2", b"x"), after.fingerprint("t_1", b"y")}) == 3


def test_what_was_sealed_before_there_were_data_keys_still_opens(tmp_path: Path) -> None:
    keyring = Keyring.open(tmp_path)
    (master,) = json.loads((tmp_path / "keyring").read_text())["keys"]
    key = hmac.digest(base64.b64decode(master["key"]), b'["innkeeper", "seal", "t_1"]', "sha256")
    sealed = b"1\n" + master["id"].encode() + b"\n" + b"n" * 12
    sealed += AESGCM(key).encrypt(b"n" * 12, b"canary", b'["t_1", "msg_1"]')
    assert keyring.unseal("t_1", "msg_1", sealed) == b"canary"
    with pytest.raises(KeyringFault):
        keyring.unseal("t_2", "msg_1", sealed)


# --- files ------------------------------------------------------------------------------------------------------------


def test_the_files_are_private_and_alone(tmp_path: Path) -> None:
    data = tmp_path / "new/data"
    token = admin_token(data)
    Keyring.open(data)
    assert token.startswith("ik_a_")
    assert admin_token(data) == token
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in data.iterdir()} == {
        "admin-token": 0o600,
        "keyring": 0o600,
        "keys": 0o700,
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in (data / "keys").iterdir()} == {0o600}
    assert stat.S_IMODE(data.stat().st_mode) == 0o700


def test_of_many_that_start_at_once_all_have_the_same(tmp_path: Path) -> None:
    barrier = Barrier(8)

    def start(_: int) -> tuple[str, str]:
        barrier.wait()
        return Keyring.open(tmp_path).broker_token("t_1", 1), admin_token(tmp_path)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(start, range(8)))) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["admin-token", "keyring", "keys"]
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == [".lock", "masters", "t_1.key"]


def test_a_start_wipes_what_a_crash_left_of_writing_the_keyring_and_nothing_else(tmp_path: Path) -> None:
    Keyring.open(tmp_path)
    left, fresh, other = (
        tmp_path / f".{name}" for name in (f"keyring.{'0a' * 8}", f"keyring.{'0b' * 8}", "keyring.bak")
    )
    for path in (left, fresh, other):
        path.write_bytes((tmp_path / "keyring").read_bytes())
    for path in (left, other):
        os.utime(path, (0, 0))
    Keyring.open(tmp_path, make=False)
    assert left.exists(), "whoever only looks changes nothing"
    Keyring.open(tmp_path)
    assert [path.exists() for path in (left, fresh, other)] == [False, True, True]


GOOD = '{"id": "mk_1", "key": "bm90aGluZ25vdGhpbmdub3RoaW5nbm90aGluZ25vdGg=", "created_at": "2026-01-01T00:00:00Z"}'


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"version": 1, "keys": []}',
        '{"version": 1, "keys": [{"id": "mk_1"}]}',
        f'{{"version": 2, "keys": [{GOOD}]}}',
        f'{{"version": 1, "keys": [{GOOD.replace("bm90", "!!!!")}]}}',
        f'{{"version": 1, "keys": [{GOOD.replace("bm90aGluZ25vdGhp", "")}]}}',
        f'{{"version": 1, "keys": [{GOOD.replace("00Z", "00")}]}}',
    ],
)
def test_a_broken_keyring_is_refused_and_kept(tmp_path: Path, content: str) -> None:
    file = tmp_path / "keyring"
    file.touch(mode=0o600)
    file.write_text(content)
    with pytest.raises(KeyringFault) as fault:
        Keyring.open(tmp_path)
    assert file.read_text() == content
    assert "bm90" not in f"{fault.value.message} {fault.value.hint} {fault.value.__cause__!r}"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_can_get_at_is_refused(tmp_path: Path, mode: int) -> None:
    Keyring.open(tmp_path)
    (tmp_path / "keyring").chmod(mode)
    with pytest.raises(KeyringFault, match="open to others"):
        Keyring.open(tmp_path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keyring").mkdir()
    with pytest.raises(KeyringFault):
        Keyring.open(tmp_path)
    (tmp_path / "admin-token").symlink_to(tmp_path / "absent")
    with pytest.raises(KeyringFault):
        admin_token(tmp_path)


def test_an_empty_admin_token_is_refused(tmp_path: Path) -> None:
    (tmp_path / "admin-token").touch(mode=0o600)
    with pytest.raises(KeyringFault, match="no admin token"):
        admin_token(tmp_path)
