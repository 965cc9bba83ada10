"""The tar of an export: everything named, nothing followed, and its last member proves it whole."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

import pyrage
import pytest

from innkeeper.units.age_passphrase import Opening, Sealing, WrongPassphrase
from innkeeper.units.pack_tar import END, Tarring


def packed(tree: Path) -> bytes:
    out = io.BytesIO()
    tarring = Tarring(out, "alice", at=1_700_000_000)
    tarring.folder("")
    tarring.file("innkeeper.json", b"{}")
    folder = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
    try:
        tarring.tree(folder, "persistence", owner=1000)
    finally:
        os.close(folder)
    tarring.end()
    return out.getvalue()


def test_it_holds_all_of_it_and_its_end_proves_it(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o755)
    (tmp_path / "a" / "file").write_bytes(b"one")
    os.link(tmp_path / "a" / "file", tmp_path / "b")
    (tmp_path / "out").symlink_to("/etc")
    odd = os.fsdecode(b"n\xff\n" + b"x" * 200)
    (tmp_path / odd).write_bytes(b"odd")
    (tmp_path / "empty").write_bytes(b"")
    os.utime(tmp_path / "empty", (-5, -5))
    with tarfile.open(fileobj=io.BytesIO(packed(tmp_path))) as tar:
        members = {member.name: member for member in tar}
        content = tar.extractfile(members["alice/persistence/a/file"])
        assert content
        assert content.read() == b"one"
        names = list(members)
        end = tar.extractfile(members[f"alice/{END}"])
        assert end
        proof = json.loads(end.read())
    assert names[0] == "alice"
    assert names[-1] == f"alice/{END}"
    assert proof["members"] == len(names) - 1
    assert members["alice/persistence/b"].islnk()
    assert members["alice/persistence/b"].linkname == "alice/persistence/a/file"
    assert members["alice/persistence/out"].linkname == "/etc"
    assert members[f"alice/persistence/{odd}"].size == 3
    owners = {member.name.startswith("alice/persistence"): member.uid for member in members.values()}
    assert owners == {True: 1000, False: 0}
    assert all(member.uname == member.gname == "" for member in members.values())


def test_a_file_that_shrinks_is_filled_up_and_told() -> None:
    out = io.BytesIO()
    tarring = Tarring(out, "alice", at=0)
    tarring.stream("image.tar", io.BytesIO(b"half"), 8)
    tarring.end()
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        found = tar.extractfile("alice/image.tar")
        assert found
        assert found.read() == b"half\0\0\0\0"


@pytest.mark.parametrize("size", [0, 1, 64 << 10, (64 << 10) + 1, 300_000])
def test_what_is_sealed_with_a_passphrase_is_ages_own_format(size: int) -> None:
    plain, out = os.urandom(size), io.BytesIO()
    sealing = Sealing(out, "a passphrase", work=10)
    for at in range(0, size, 10_007):
        sealing.write(plain[at : at + 10_007])
    sealing.close()
    assert pyrage.passphrase.decrypt(out.getvalue(), "a passphrase") == plain
    assert Opening(io.BytesIO(out.getvalue()), "a passphrase").read() == plain


def test_what_age_sealed_is_opened_and_nothing_else_is() -> None:
    sealed = pyrage.passphrase.encrypt(b"plain" * 50_000, "right")
    assert Opening(io.BytesIO(sealed), "right").read() == b"plain" * 50_000
    cheap = io.BytesIO()
    sealing = Sealing(cheap, "right", work=10)
    sealing.write(b"plain" * 50_000)
    sealing.close()
    sealed = cheap.getvalue()
    with pytest.raises(WrongPassphrase, match="isn't the passphrase"):
        Opening(io.BytesIO(sealed), "wrong")
    for broken in (sealed[:-1], sealed[: 64 << 10], sealed[:-5] + bytes(5), b"plain", b""):
        with pytest.raises(WrongPassphrase):
            Opening(io.BytesIO(broken), "right").read()
