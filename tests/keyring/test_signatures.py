"""Signatures of the installation: they hold for years, and anybody can check them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from innkeeper.keyring import Keyring, KeyringFault
from innkeeper.keyring.signatures import Ed25519Signer, key_id_of, verified

MESSAGE = b"innkeeper erasure receipt 1\n{}"


def test_a_signature_holds_for_that_message_and_key_alone(tmp_path: Path) -> None:
    signer = Keyring.open(tmp_path).signer
    signature = signer.sign(MESSAGE)
    assert verified(signer.public_key, MESSAGE, signature)
    assert not verified(signer.public_key, MESSAGE + b" ", signature)
    assert not verified(Ed25519Signer(b"x" * 32).public_key, MESSAGE, signature)
    for bit in range(len(signature) * 8):
        changed = bytearray(signature)
        changed[bit // 8] ^= 1 << bit % 8
        assert not verified(signer.public_key, MESSAGE, bytes(changed))
    for wrong in (b"", signature[:-1], signature + b"\0"):
        assert not verified(signer.public_key, MESSAGE, wrong)


def test_it_outlives_rotations_and_an_import_elsewhere(tmp_path: Path) -> None:
    keyring = Keyring.open(tmp_path / "one")
    before = keyring.signer.public_key
    for _ in range(2):
        keyring.rotate()
    assert keyring.signer.public_key == Keyring.open(tmp_path / "one").signer.public_key == before
    assert Keyring.open(tmp_path / "other").signer.public_key != before


def test_no_secret_is_in_the_public_key(tmp_path: Path) -> None:
    signer = Keyring.open(tmp_path).signer
    assert signer.public_key.startswith("-----BEGIN PUBLIC KEY-----\n")
    assert signer.key_id == key_id_of(signer.public_key)


@pytest.mark.parametrize("other", ["", "nonsense", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_what_is_no_key_is_told(other: str) -> None:
    with pytest.raises(KeyringFault, match="no public key"):
        verified(other, MESSAGE, b"x" * 64)


def test_openssl_agrees(tmp_path: Path) -> None:
    signer = Keyring.open(tmp_path).signer
    for name, content in (("key", signer.public_key.encode()), ("message", MESSAGE), ("sig", signer.sign(MESSAGE))):
        (tmp_path / name).write_bytes(content)
    command = [
        "openssl",
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        "key",
        "-rawin",
        "-in",
        "message",
        "-sigfile",
        "sig",
    ]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    (tmp_path / "message").write_bytes(MESSAGE + b" ")
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 1


async def test_a_burial_names_the_exports_that_still_hold_the_key(tmp_path: Path) -> None:
    keyring = Keyring.open(tmp_path)
    await keyring.ready("tn_1")
    await keyring.ready("tn_2")
    assert await keyring.burial("tn_1") is None
    keyring.export(tmp_path / "before")
    await keyring.destroy("tn_1")
    keyring.export(tmp_path / "after")
    burial = await keyring.burial("tn_1")
    assert burial is not None
    assert burial.key is not None
    assert [each.file for each in burial.held_in] == [str(tmp_path / "before")]
    await keyring.destroy("tn_1")
    assert await keyring.burial("tn_1") == burial
    await keyring.destroy("tn_never_made")
    never = await keyring.burial("tn_never_made")
    assert never is not None
    assert (never.key, never.held_in) == (None, ())
