"""Archives of others: what is read, and everything that isn't."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import subprocess
import tarfile
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.core.errors import Problem
from innkeeper.core.import_errors import ArchiveDamaged, ArchiveRefused, ImportTooLarge
from innkeeper.core.unit_limits import DEPTH_MAX, ENTRIES_MAX
from innkeeper.units.archive import Caps, tar_entries
from innkeeper.units.pack_tar import Tarring
from innkeeper.units.pouring import Pouring
from innkeeper.units.safe_tree import Owner
from innkeeper.units.tar_headers import Kind
from innkeeper.units.trees import TarTree

Member = tuple[tarfile.TarInfo, bytes]
CAPS = Caps()
OURS = Owner(uid=os.geteuid(), gid=os.getegid())


def made(*members: Member, form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of these."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def member(
    name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, to: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    """One of them."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info, content


def read(data: bytes, caps: Caps = CAPS) -> dict[str, bytes]:
    """Its files."""
    return {
        entry.path: b"".join(content())
        for entry, content in tar_entries(io.BytesIO(data), caps)
        if entry.kind is Kind.FILE
    }


def poured(data: bytes, into: Path, caps: Caps = CAPS) -> None:
    """All of it, written below a folder."""
    into.mkdir()
    descriptor = os.open(into, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with Pouring(descriptor, OURS) as pouring:
            TarTree(io.BytesIO(data), "unit", caps).pour(pouring, lambda path: path)
    finally:
        os.close(descriptor)


names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60).filter(
    lambda name: name not in (".", "..")
)


@given(
    files=st.dictionaries(st.lists(names, min_size=1, max_size=4).map("/".join), st.binary(max_size=1500), max_size=6),
    form=st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    pack=st.sampled_from([bytes, gzip.compress, bz2.compress]),
)
def test_what_others_write_is_read(files: dict[str, bytes], form: int, pack: Callable[[bytes], bytes]) -> None:
    kept = {path: data for path, data in files.items() if not any(other.startswith(f"{path}/") for other in files)}
    assert read(pack(made(*(member(path, data) for path, data in kept.items()), form=form))) == kept


@pytest.mark.parametrize(("form", "long"), [("gnu", 120), ("pax", 120), ("ustar", 70)])
def test_what_tar_itself_writes_is_read(form: str, long: int, tmp_path: Path) -> None:
    deep = tmp_path / "unit" / ("d" * long) / ("e" * long)
    deep.mkdir(parents=True)
    (deep / "a file.txt").write_bytes(b"x" * 3000)
    (tmp_path / "unit/one").write_bytes(b"one")
    (tmp_path / "unit/same").hardlink_to(tmp_path / "unit/one")
    (tmp_path / "unit/link").symlink_to("/nowhere/at/all")
    archive = tmp_path / "unit.tar.gz"
    subprocess.run(["tar", "-czf", archive, f"--format={form}", "-C", tmp_path, "unit"], check=True)
    poured(archive.read_bytes(), tmp_path / "into")
    unit = tmp_path / "into/unit"
    assert (unit / ("d" * long) / ("e" * long) / "a file.txt").read_bytes() == b"x" * 3000
    assert (unit / "same").stat().st_ino == (unit / "one").stat().st_ino
    assert (unit / "link").readlink() == Path("/nowhere/at/all")


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ([member("../evil", b"x")], "leads out"),
        ([member("a/../../evil", b"x")], "leads out"),
        ([member("/etc/cron.d/evil", b"x")], "absolute"),
        ([member("disk", kind=tarfile.BLKTYPE)], "a device"),
        ([member("tty", kind=tarfile.CHRTYPE)], "a device"),
        ([member("pipe", kind=tarfile.FIFOTYPE)], "a FIFO"),
        ([member("a", b"1"), member("a", b"2")], "twice"),
        ([member("a", b"1"), member("a/b", b"2")], "lies below"),
        ([member("a", kind=tarfile.SYMTYPE, to="/etc"), member("a/passwd", b"x")], "lies below"),
        ([member("a", kind=tarfile.SYMTYPE, to="/etc"), member("a", b"x")], "twice"),
        ([member("a/b", b"x"), member("a", kind=tarfile.SYMTYPE, to="/etc")], "twice"),
        ([member("h", kind=tarfile.LNKTYPE, to="/etc/shadow")], "absolute"),
        ([member("h", kind=tarfile.LNKTYPE, to="../x")], "leads out"),
        ([member("h", kind=tarfile.LNKTYPE, to="later"), member("later", b"x")], "no file before it"),
        ([member("s", kind=tarfile.SYMTYPE, to="/etc/shadow"), member("h", kind=tarfile.LNKTYPE, to="s")], "no file"),
        ([member("n" * 300, b"x")], "too long"),
        ([member("/".join("d" * 80), b"x")], "deep"),
        ([member(".", b"x")], "no name"),
    ],
)
def test_refused_and_named(members: list[Member], says: str, tmp_path: Path) -> None:
    with pytest.raises(ArchiveRefused, match=says):
        poured(made(*members), tmp_path / "into")
    assert not list((tmp_path / "into").iterdir())


def test_sparse_files_are_refused() -> None:
    info, data = member("db.sqlite", b"\0" * 512)
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.name": "db.sqlite"}
    with pytest.raises(ArchiveRefused, match="sparse"):
        read(made((info, data)))


def test_a_nul_in_a_pax_name_is_refused() -> None:
    info, data = member("a", b"x")
    info.pax_headers = {"path": "a\0../../etc/passwd"}
    with pytest.raises(ArchiveRefused, match="NUL"):
        read(made((info, data)))


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_a_header_of_gigabytes_isnt_read(form: int) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = (tarfile.XHDTYPE if form == tarfile.PAX_FORMAT else tarfile.GNUTYPE_LONGNAME), 1 << 32
    with pytest.raises(ArchiveRefused, match="header"):
        read(info.tobuf(tarfile.USTAR_FORMAT))


def test_of_headers_without_end_nothing_is_kept() -> None:
    out = io.BytesIO()
    for number in range(200):
        keys = {f"key{number}.{each}": "v" * 900 for each in range(60)}
        header = tarfile.TarInfo.create_pax_global_header(keys)
        out.write(header)
    out.write(made(member("a")))
    out.seek(0)
    tracemalloc.start()
    try:
        assert [entry.path for entry, _ in tar_entries(out, CAPS)] == ["a"]
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_what_an_export_may_hold_is_read_by_default(tmp_path: Path) -> None:
    deep = b"/".join([b"d" * 30] * (DEPTH_MAX - 1))
    here = tmp_path / "data" / os.fsdecode(deep)
    (here / "line\nbreak").mkdir(parents=True)
    (here / "link").symlink_to("x/" * 2000)
    out = io.BytesIO()
    tarring = Tarring(out, "n" * 40, at=0)
    descriptor = os.open(tmp_path / "data", os.O_RDONLY)
    try:
        tarring.tree(descriptor, "persistence", owner=0)
    finally:
        os.close(descriptor)
    tarring.end()
    found = [os.fsencode(entry.path) for entry, _ in tar_entries(io.BytesIO(out.getvalue()), Caps())]
    top = b"n" * 40 + b"/persistence/" + deep
    assert [top + b"/line\nbreak", top + b"/link"] == found[-3:-1]
    assert Caps().entries >= ENTRIES_MAX + 100


def test_many_entries_take_little_memory() -> None:
    block = made(*(member(f"folder-{number // 100}/file-{number}", b"x") for number in range(2000)))
    tracemalloc.start()
    try:
        tree = TarTree(io.BytesIO(block), "x", Caps())
        assert tracemalloc.get_traced_memory()[1] < 300 << 10, "they lie in a table"
    finally:
        tracemalloc.stop()
    assert len(tree.entries) == 2020


def test_a_million_entries_are_too_many() -> None:
    block = [member(f"f{number}") for number in range(120)]
    with pytest.raises(ImportTooLarge, match="more than 100 files"):
        read(made(*block), Caps(entries=100))


def test_more_than_may_be_is_refused_by_its_header() -> None:
    info = tarfile.TarInfo("huge")
    info.size = 1 << 40
    with pytest.raises(ImportTooLarge, match="more than 200 GB"):
        read(info.tobuf())


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_a_bomb_is_refused_on_the_way(pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(made(member("zeros", bytes(80 << 20))))
    assert len(bomb) < 100_000
    with pytest.raises(ImportTooLarge, match="bomb"):
        read(bomb)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
def test_cut_off_anywhere_it_is_damaged(pack: Callable[[bytes], bytes]) -> None:
    whole = pack(made(member("a", os.urandom(3000)), member("b", os.urandom(700))))
    # Of a plain tar the last blocks of zeros are padding.
    ends = len(whole) if pack is not bytes else len(whole.rstrip(b"\0"))
    for cut in (0, 1, 100, 512, 700, 1024, 1536, ends // 2, ends - 1):
        with pytest.raises(ArchiveDamaged):
            read(whole[:cut])


def test_a_flipped_bit_in_a_packed_archive_is_told() -> None:
    whole = bytearray(gzip.compress(made(member("a", os.urandom(30_000)))))
    whole[len(whole) // 2] ^= 1
    with pytest.raises(ArchiveDamaged):
        read(bytes(whole))


@pytest.mark.parametrize(
    ("head", "says"), [(b"\x28\xb5\x2f\xfd", "zstd"), (b"PK\x03\x04", "zip"), (b"\xfd7zXZ\0", "xz")]
)
def test_what_isnt_unpacked_says_so(head: bytes, says: str) -> None:
    with pytest.raises(ArchiveDamaged, match=says):
        read(head + bytes(600))


@given(data=st.binary(max_size=2000))
def test_noise_is_refused_in_words(data: bytes) -> None:
    whole = made(member("a", b"x"), member("b/c", b"y" * 600))
    for content in (data, whole[:700] + data, gzip.compress(whole)[:60] + data):
        with suppress(Problem):  # and nothing else
            read(content)


def test_modes_are_masked_and_nothing_is_owned_by_another(tmp_path: Path) -> None:
    info, data = member("run", b"#!/bin/sh\n")
    info.mode, info.uid, info.gid = 0o6755, 0, 0
    closed, _ = member("closed", kind=tarfile.DIRTYPE)
    closed.mode = 0o000
    poured(made((info, data), (closed, b""), member("closed/in", b"x")), tmp_path / "into")
    found = (tmp_path / "into/run").stat()
    assert (found.st_mode & 0o7777, found.st_uid) == (0o755, OURS.uid)
    assert (tmp_path / "into/closed").stat().st_mode & 0o7777 == 0o700
