"""Packs taken in: whatever a tarball holds, what comes of it is a whole version or nothing."""

from __future__ import annotations

import asyncio
import gzip
import io
import tarfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.errors import Problem, TooLarge
from innkeeper.core.pack_errors import InvalidPack, PackDamaged, PackExists, PackInUse, PackMissing, UnknownPack
from innkeeper.core.packs import FILES_MAX
from innkeeper.core.plans import plans_from
from innkeeper.core.specs import SpecPatch
from tests.support.house import House
from tests.support.packs import LIMIT, Packs, chunks, packs_for, tarball, texts

FILES = {"SOUL.md": "soul", "sops/intake.md": "intake"}


@pytest.fixture
async def packs(tmp_path: Path) -> Packs:
    return packs_for(House(), tmp_path)


def left(tmp_path: Path) -> list[str]:
    """What lies among the packs."""
    folder = tmp_path / "packs"
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) if folder.exists() else []


def member(name: str, content: bytes = b"x", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def tar_of(*members: tuple[tarfile.TarInfo, bytes], manifest: str = 'name = "core"\nversion = "1"\n') -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for info, content in (member("pack.toml", manifest.encode()), *members):
            tar.addfile(info, io.BytesIO(content))
    return written.getvalue()


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("top", ["", "./", "core-1/"])
async def test_a_tarball_becomes_a_version(packs: Packs, tmp_path: Path, packed: bool, top: str) -> None:
    added = await packs.releases.add(chunks(tarball("1", FILES, packed=packed, top=top)), actor=SYSTEM)
    assert (added.name, added.version, added.files, added.size) == ("core", "1", 2, 10)
    assert texts(tmp_path / "packs/core/1/files") == FILES
    assert left(tmp_path) == [
        "core",
        "core/1",
        "core/1/files",
        "core/1/files/SOUL.md",
        "core/1/files/sops",
        "core/1/files/sops/intake.md",
        "core/1/pack.json",
    ]
    assert list(await packs.releases.all()) == [added]
    assert (await packs.library.pack("core", "1")).digest == added.digest


async def test_a_version_never_changes_and_the_same_again_is_fine(packs: Packs) -> None:
    first = await packs.add("1", FILES)
    assert await packs.add("1", FILES) == first
    with pytest.raises(PackExists):
        await packs.add("1", {**FILES, "SOUL.md": "another"})
    assert (await packs.library.pack("core", "1")).digest == first.digest


async def test_two_who_add_one_version_at_once_end_with_one_of_them(packs: Packs) -> None:
    tries = [packs.add("1", {"a.md": str(number)}) for number in range(5)]
    ended = await asyncio.gather(*tries, return_exceptions=True)
    won = [each for each in ended if not isinstance(each, BaseException)]
    assert len(won) == 1
    assert all(isinstance(each, PackExists) for each in ended if each is not won[0])
    assert (await packs.library.pack("core", "1")).digest == won[0].digest


async def test_versions_are_listed_newest_first(packs: Packs) -> None:
    for version in ("9", "10", "2.1"):
        await packs.add(version, FILES)
    await packs.add("1", FILES, name="about")
    assert [(each.name, each.version) for each in await packs.releases.all()] == [
        ("about", "1"),
        ("core", "10"),
        ("core", "9"),
        ("core", "2.1"),
    ]


def _without_manifest() -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        info, content = member("a.md")
        tar.addfile(info, io.BytesIO(content))
    return written.getvalue()


BAD: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "no tarball": lambda: b"PK\x03\x04 a zip, say" * 100,
    "broken gzip": lambda: gzip.compress(tar_of(member("a.md")))[:-20],
    "cut short": lambda: tar_of(member("a.md", b"x" * 5000))[:3000],
    "no manifest": _without_manifest,
    "no files": tar_of,
    "climbs": lambda: tar_of(member("../a.md")),
    "climbs inside": lambda: tar_of(member("a/../../b.md")),
    "absolute": lambda: tar_of(member("/etc/cron.d/x")),
    "link": lambda: tar_of(member("a.md", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")),
    "hard link": lambda: tar_of(member("a.md", b"", type=tarfile.LNKTYPE, linkname="pack.toml")),
    "device": lambda: tar_of(member("a.md", b"", type=tarfile.CHRTYPE)),
    "fifo": lambda: tar_of(member("a.md", b"", type=tarfile.FIFOTYPE)),
    "twice": lambda: tar_of(member("a.md"), member("a.md")),
    "file and folder": lambda: tar_of(member("a"), member("a/b.md")),
    "control character": lambda: tar_of(member("a\nb.md")),
    "reserved name": lambda: tar_of(member("a.md.new")),
    "too deep": lambda: tar_of(member("a/" * 40 + "b.md")),
    "too long a name": lambda: tar_of(member("a" * 230)),
    "manifest isn't TOML": lambda: tar_of(member("a.md"), manifest="name = core"),
    "manifest says more": lambda: tar_of(member("a.md"), manifest='name = "core"\nversion = "1"\nrun = "x"\n'),
    "version isn't text": lambda: tar_of(member("a.md"), manifest='name = "core"\nversion = 1\n'),
    "name climbs": lambda: tar_of(member("a.md"), manifest='name = "../x"\nversion = "1"\n'),
    "version climbs": lambda: tar_of(member("a.md"), manifest='name = "core"\nversion = "../1"\n'),
    "target climbs": lambda: tar_of(member("a.md"), manifest='name = "core"\nversion = "1"\ntarget = "../x"\n'),
    "target is the agent's": lambda: tar_of(member("a.md"), manifest='name="core"\nversion="1"\ntarget=".openclaw"\n'),
}


@pytest.mark.parametrize("kind", BAD)
async def test_what_isnt_a_pack_is_refused_and_leaves_nothing(packs: Packs, tmp_path: Path, kind: str) -> None:
    with pytest.raises(InvalidPack):
        await packs.releases.add(chunks(BAD[kind]()), actor=SYSTEM)
    assert left(tmp_path) == []
    assert list(await packs.releases.all()) == []


async def test_a_million_entries_are_counted_before_they_are_unpacked(packs: Packs, tmp_path: Path) -> None:
    entries = [member(f"{number}.md", b"") for number in range(FILES_MAX + 2)]
    with pytest.raises(InvalidPack, match="more than"):
        await packs.releases.add(chunks(gzip.compress(tar_of(*entries), 1), size=1 << 20), actor=SYSTEM)
    folders = [member(f"{number}", b"", type=tarfile.DIRTYPE) for number in range(2 * FILES_MAX + 2)]
    with pytest.raises(InvalidPack, match="more than"):
        await packs.releases.add(chunks(gzip.compress(tar_of(*folders), 1), size=1 << 20), actor=SYSTEM)
    assert left(tmp_path) == []


def _bomb() -> bytes:
    return gzip.compress(tar_of(member("a.md", bytes(64 << 20))), 9)


def _header_bomb() -> bytes:
    """A header of 100 MB, packed into little."""
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 100 << 20
    return gzip.compress(info.tobuf() + bytes(100 << 20), 9)


@pytest.mark.parametrize("made", [_bomb, _header_bomb])
async def test_what_is_much_in_little_is_too_large(packs: Packs, tmp_path: Path, made: Callable[[], bytes]) -> None:
    content = made()
    assert len(content) < LIMIT
    with pytest.raises((TooLarge, InvalidPack)):
        await packs.releases.add(chunks(content, size=1 << 20), actor=SYSTEM)
    assert left(tmp_path) == []


async def test_an_upload_that_never_ends_is_cut_off(packs: Packs, tmp_path: Path) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1 << 20
            yield bytes(1 << 20)

    with pytest.raises(TooLarge):
        await packs.releases.add(endless(), actor=SYSTEM)
    assert taken <= packs.library.upload_bytes + (1 << 20)
    assert left(tmp_path) == []


async def test_one_that_breaks_off_leaves_nothing_and_so_does_a_crash(packs: Packs, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield tarball("1", FILES)[:100]
        raise InvalidPack("The upload broke off.")

    with pytest.raises(Problem):
        await packs.releases.add(broken(), actor=SYSTEM)
    assert left(tmp_path) == []
    crashed = tmp_path / "packs/.incoming-1/files"
    crashed.mkdir(parents=True)
    (crashed / "a.md").write_text("half")
    packs.library.sweep()
    assert left(tmp_path) == []


async def test_a_version_that_was_never_recorded_gives_way(packs: Packs, tmp_path: Path) -> None:
    """The process died between the files and the row."""
    async with packs.library.taken(chunks(tarball("1", {"a.md": "never recorded"}))) as taken:
        await taken.settle()
    added = await packs.add("1", FILES)
    assert texts(tmp_path / "packs/core/1/files") == FILES
    assert (await packs.library.pack("core", "1")).digest == added.digest


@pytest.mark.parametrize("done_to", ["gone", "told otherwise", "no json"])
async def test_one_that_isnt_what_was_added_is_told(packs: Packs, tmp_path: Path, done_to: str) -> None:
    await packs.add("1", FILES)
    told = tmp_path / "packs/core/1/pack.json"
    kept = told.read_text()
    match done_to:
        case "gone":
            told.unlink()
        case "told otherwise":
            told.write_text(kept.replace("SOUL.md", "SOUR.md"))
        case _:
            told.write_text(kept[:-10])
    with pytest.raises((PackMissing, PackDamaged)):
        await packs_for(House(), tmp_path).library.pack("core", "1")


async def test_a_version_that_somebody_gets_stays(tmp_path: Path) -> None:
    house = House()
    plans = plans_from({"gold": {"packs": ["gold"]}})
    packs = packs_for(house, tmp_path, plans=plans, per_agent={"plain": ["core@2"]})
    for name, version in (("core", "1"), ("core", "2"), ("gold", "1"), ("gold", "2"), ("own", "1"), ("own", "2")):
        await packs.add(version, FILES, name=name)
    await house.create("alice", SpecPatch(packs=("own@1",)))
    for name, version in (("core", "2"), ("gold", "2"), ("own", "1")):
        with pytest.raises(PackInUse):
            await packs.releases.delete(name, version, actor=SYSTEM)
    for name, version in (("core", "1"), ("gold", "1"), ("own", "2")):
        await packs.releases.delete(name, version, actor=SYSTEM)
        with pytest.raises(UnknownPack):
            await packs.releases.delete(name, version, actor=SYSTEM)
        with pytest.raises(PackMissing):
            await packs.library.pack(name, version)
    assert len(await packs.releases.all()) == 3


async def test_a_tenant_can_only_get_packs_that_there_are(tmp_path: Path) -> None:
    house = House()
    packs = packs_for(house, tmp_path)
    await packs.add("1", FILES)
    for wrong in ("core@2", "other"):
        with pytest.raises(UnknownPack):
            await house.create("alice", SpecPatch(packs=(wrong,)))
    for wrong in ("", "Core", "core@", "core@a/b", "image:opt", "image:/opt/../x", "image:/"):
        with pytest.raises(Problem, match="names no pack"):
            await house.create("alice", SpecPatch(packs=(wrong,)))
    await house.create("alice", SpecPatch(packs=("core", "image:/opt/core", "core@1")))
    assert (await house.tenant()).spec.packs == ("image:/opt/core", "core@1")
