"""Far targets, each at a real server of its protocol: S3, rest-server's, SFTP; and none that answers."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from innkeeper.core.ports.snapshots import Repository
from innkeeper.core.snapshot_errors import (
    BackupFailed,
    SnapshotDamaged,
    SnapshotMissing,
    TargetRefused,
    TargetUnreachable,
)
from innkeeper.restic import ResticStore
from tests.restic.deposits import AT, LOCAL, OWNER, REMOTE, a_tree, content, far
from tests.support.rclone import KEY, SECRET, an_s3_server, serving

KINDS = ("s3", pytest.param("rest", marks=pytest.mark.long), pytest.param("sftp", marks=pytest.mark.long))


@dataclass(frozen=True)
class Place:
    """A server that runs, and how it is reached."""

    kind: str
    served: Path
    """Where what is stored there lies here."""
    port: int
    key: Path

    def store(self, folder: Path, **other: str) -> ResticStore:
        """Of which it is the second target; `other` credentials than the right ones."""
        match self.kind:
            case "s3":
                right = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
                return far(folder, f"s3:http://127.0.0.1:{self.port}/snapshots/inn", right | other)
            case "rest":
                right = {"RESTIC_REST_USERNAME": "inn", "RESTIC_REST_PASSWORD": SECRET}
                return far(folder, f"rest:http://127.0.0.1:{self.port}/", right | other)
        url = f"sftp://inn@127.0.0.1:{self.port}//snapshots"
        return far(folder, url, {}, ssh_key=self.key, ssh_known_hosts=self.key.with_name("known_hosts"))

    @property
    def repositories(self) -> Path:
        """Where they lie here."""
        return self.served / {"s3": "snapshots/inn", "rest": ".", "sftp": "snapshots"}[self.kind]


@pytest.fixture(scope="module", params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One of each kind."""
    served, keys = tmp_path_factory.mktemp("served"), tmp_path_factory.mktemp("keys")
    for name in ("host", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / name)], check=True)
    match request.param:
        case "s3":
            server = an_s3_server(served)
        case "rest":
            server = serving("restic", served, "--user", "inn", "--pass", SECRET)
        case _:
            (served / "snapshots").mkdir()
            known = ["--key", str(keys / "host"), "--authorized-keys", str(keys / "key.pub")]
            server = serving("sftp", served, *known)
    with server as port:
        (keys / "known_hosts").write_text(f"[127.0.0.1]:{port} {(keys / 'host.pub').read_text()}")
        yield Place(kind=request.param, served=served, port=port, key=keys / "key")


@pytest.fixture
async def copied(place: Place, tmp_path: Path) -> AsyncIterator[tuple[ResticStore, str, Path]]:
    """A store with a snapshot that was copied there, its id there, and what it was taken of."""
    store, tree = place.store(tmp_path), a_tree(tmp_path / "persistence")
    await store.ready(LOCAL)
    await store.ready(REMOTE)
    saved = await store.save(LOCAL, {"/persistence": tree}, name="alice", at=AT)
    yield store, await store.copy(LOCAL, REMOTE, saved.id), tree
    await store.destroy(REMOTE)


async def test_what_was_copied_there_comes_back_from_there_alone(
    copied: tuple[ResticStore, str, Path], into: Path
) -> None:
    store, snapshot, tree = copied
    await store.destroy(LOCAL)
    await store.ready(REMOTE)  # again
    assert store.is_far("remote")
    assert [each.id for each in await store.listing(REMOTE)] == [snapshot]
    async with aclosing(store.entries(REMOTE, snapshot)) as entries:
        assert "SOUL.md" in [entry.path.name async for entry in entries]
    await store.check(REMOTE, share=(1, 1))
    await store.restore(REMOTE, snapshot, into)
    assert content(into / "persistence") == content(tree)


async def test_a_snapshot_is_taken_there_straight(copied: tuple[ResticStore, str, Path]) -> None:
    store, snapshot, tree = copied
    (tree / "new").write_text("x")
    saved = await store.save(REMOTE, {"/persistence": tree}, name="alice", at=AT, parent=snapshot)
    assert (saved.files_new, saved.files_unmodified) == (1, 5)
    assert {each.id for each in await store.listing(REMOTE)} == {snapshot, saved.id}
    await store.forget(REMOTE, [snapshot])
    await store.prune(REMOTE)
    await store.check(REMOTE)


async def test_a_removed_repository_is_gone_with_every_file(
    copied: tuple[ResticStore, str, Path], place: Place, tmp_path: Path
) -> None:
    store, _, _ = copied
    assert OWNER in await store.owners("remote", [OWNER, "tn_bob"])
    assert (tmp_path / "cache/remote" / OWNER).is_dir()
    assert list(await store.destroy(REMOTE)) == []
    assert list(await store.destroy(REMOTE)) == []
    assert [path for path in place.repositories.rglob("*") if OWNER in str(path) and path.is_file()] == []
    assert not (tmp_path / "cache/remote" / OWNER).exists()
    assert not await store.exists(REMOTE)
    assert OWNER not in await store.owners("remote", [OWNER])


async def test_a_lost_pack_there_is_damage(copied: tuple[ResticStore, str, Path], into: Path) -> None:
    store, snapshot, _ = copied
    # By its protocol: what is done to the folder beside it, the server doesn't notice at once.
    await (await store._calls.shelf("remote")).clear(OWNER, "data/")
    with pytest.raises(SnapshotDamaged):
        await store.check(REMOTE)
    with pytest.raises(SnapshotDamaged):
        await store.restore(REMOTE, snapshot, into)


async def test_damage_there_is_mended_by_its_protocol(
    copied: tuple[ResticStore, str, Path], place: Place, into: Path
) -> None:
    store, snapshot, tree = copied
    shelf = await store._calls.shelf("remote")
    pack = max((place.repositories / OWNER).glob("data/*/*"), key=lambda path: path.stat().st_size).name
    spoilt = [f"data/{pack[:2]}/{pack}", f"snapshots/{snapshot}"]
    for name in spoilt:
        await shelf.put(OWNER, name, b"x" * 200_000)
    if place.kind == "rest":
        with pytest.raises(BackupFailed, match="no way to put it aside"):
            await store.mend(REMOTE)
        return
    mended = await store.mend(REMOTE)
    assert sorted(mended.aside) == sorted(spoilt)
    assert await store.listing(REMOTE) == []
    assert OWNER in await store.owners("remote", [OWNER])
    assert f".aside-{OWNER}" not in await store.owners("remote", [OWNER])
    [kept] = await store.listing(LOCAL)
    await store.restore(REMOTE, await store.copy(LOCAL, REMOTE, kept.id), into)
    await store.check(REMOTE, share=(1, 1))
    assert content(into / "persistence") == content(tree)
    if place.kind == "s3":
        await shelf.put(OWNER, "config", b"junk")
        assert not (await store.mend(REMOTE)).anew
        assert len(await store.listing(REMOTE)) == 1
    assert await store.destroy(REMOTE) == []
    assert not await store.lies(REMOTE)
    assert [path for path in place.repositories.rglob("*") if OWNER in str(path) and path.is_file()] == []


async def test_a_wrong_credential_is_refused(place: Place, tmp_path: Path) -> None:
    wrong = {"s3": "AWS_SECRET_ACCESS_KEY", "rest": "RESTIC_REST_PASSWORD", "sftp": "none"}[place.kind]
    if place.kind == "sftp":
        place.key.with_name("known_hosts").rename(place.key.with_name("kept"))
        place.key.with_name("known_hosts").write_text(f"[127.0.0.1]:{place.port} ssh-ed25519 {'A' * 68}\n")
    try:
        store = place.store(tmp_path, **{wrong: "not-the-secret"})
        for call in (store.exists(REMOTE), store.ready(REMOTE), store.owners("remote", [OWNER])):
            with pytest.raises(TargetRefused) as raised:
                await call
            assert "not-the-secret" not in str(raised.value)
    finally:
        if place.kind == "sftp":
            place.key.with_name("kept").rename(place.key.with_name("known_hosts"))


async def test_one_that_was_made_by_half_there_is_made_whole(place: Place, tmp_path: Path) -> None:
    if place.kind == "rest":
        pytest.skip("a rest-server takes no file whose name isn't its hash")
    store = place.store(tmp_path)
    shelf = await store._calls.shelf("remote")
    half = Repository(target="remote", owner="tn_half")
    await shelf.put("tn_half", f"keys/{'0' * 64}", b"{}")
    await store.ready(half)
    assert len(await shelf.names("tn_half")) == 2
    assert await store.listing(half) == []
    await store.destroy(half)
    await shelf.put("tn_half", f"snapshots/{'1' * 64}", b"x")
    with pytest.raises(SnapshotDamaged, match="but no config"):
        await store.ready(half)
    assert await shelf.clear("tn_half") == []


# --- nobody answers ---------------------------------------------------------------------------------------------------


def a_closed_port() -> int:
    """One that nobody listens at."""
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return int(it.getsockname()[1])


@asynccontextmanager
async def one_who_says_nothing() -> AsyncIterator[int]:
    """The port of a server that takes every connection and never says a word."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(1 << 16):
                pass
        finally:
            writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


AWS = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}


@pytest.mark.parametrize("url", ["s3:http://127.0.0.1:{}/bucket", "rest:http://127.0.0.1:{}/"])
async def test_a_target_that_is_down_is_unreachable_and_not_empty(tmp_path: Path, url: str) -> None:
    store = far(tmp_path, url.format(a_closed_port()), AWS)
    for call in (store.exists(REMOTE), store.listing(REMOTE), store.owners("remote", [OWNER]), store.destroy(REMOTE)):
        with pytest.raises(TargetUnreachable):
            await call


@pytest.mark.parametrize("does", [ResticStore.check, ResticStore.prune, ResticStore.unlock])
async def test_a_target_that_says_nothing_is_given_up(
    tmp_path: Path, does: Callable[[ResticStore, Repository], object]
) -> None:
    async with one_who_says_nothing() as port:
        store = far(tmp_path, f"s3:http://127.0.0.1:{port}/bucket", AWS)
        with pytest.raises(TargetUnreachable, match="given up"):
            await does(store, REMOTE)  # type: ignore[misc]


async def test_a_snapshot_is_missing_there_too(place: Place, tmp_path: Path, into: Path) -> None:
    store = place.store(tmp_path)
    await store.ready(REMOTE)
    with pytest.raises(SnapshotMissing):
        await store.restore(REMOTE, "0" * 64, into)
    await store.destroy(REMOTE)


# --- what others see --------------------------------------------------------------------------------------------------


async def test_no_credential_is_in_the_command_line(
    copied: tuple[ResticStore, str, Path], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _, _ = copied
    started: list[str] = []
    start = asyncio.create_subprocess_exec

    async def noted(*argv: str, **more: object) -> object:
        started.extend([*argv, str(more.get("env"))])
        return await start(*argv, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noted)
    await store.check(REMOTE)
    assert started
    assert not [each for each in started if SECRET in each or re.search("right-", each)]
