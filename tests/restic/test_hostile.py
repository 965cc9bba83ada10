"""A tenant who tries to have others' files put into their snapshot, or to be written outside of a restore."""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from innkeeper.core.errors import UnitFault
from innkeeper.core.ports.snapshots import EntryKind
from innkeeper.restic import ResticStore
from innkeeper.restic.run import running
from innkeeper.restic.sandbox import Sandbox
from tests.restic.deposits import AT, LOCAL, OWNER, content, names, near


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder of somebody else's."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "secret").write_text("theirs")
    return folder


async def test_links_lead_nowhere(store: ResticStore, tree: Path, elsewhere: Path, into: Path) -> None:
    (tree / "out").symlink_to(elsewhere)
    (tree / "up").symlink_to("../elsewhere/secret")
    await store.ready(LOCAL)
    snapshot = await store.save(LOCAL, {"/persistence": tree}, name="alice", at=AT)
    await store.restore(LOCAL, snapshot.id, into)
    assert (into / "persistence/out").is_symlink()
    assert (into / "persistence/up").is_symlink()
    assert b"theirs" not in content(into).values()


async def test_a_folder_that_is_a_link_is_not_saved(store: ResticStore, tree: Path, elsewhere: Path) -> None:
    (tree / "link").symlink_to(elsewhere)
    await store.ready(LOCAL)
    with pytest.raises(UnitFault, match="no folder"):
        await store.save(LOCAL, {"/persistence": tree / "link"}, name="alice", at=AT)
    with pytest.raises(UnitFault, match="no folder"):
        await store.save(LOCAL, {"/persistence": tree / "sessions.json"}, name="alice", at=AT)


async def test_a_folder_swapped_for_a_link_while_it_is_read_leads_nowhere(
    store: ResticStore, tree: Path, elsewhere: Path
) -> None:
    for number in range(6):  # more than are read at once: the walk stands still before what comes after them
        (tree / f"a{number}").write_bytes(os.urandom(64 << 20))
    (tree / "z").mkdir()
    (tree / "z/mine").write_text("mine")
    swapped = False

    def swap(done: int, of: int) -> None:
        nonlocal swapped
        if not swapped:
            swapped = True
            shutil.rmtree(tree / "z")
            (tree / "z").symlink_to(elsewhere)

    await store.ready(LOCAL)
    snapshot = await store.save(LOCAL, {"/persistence": tree}, name="alice", at=AT, tell=swap)
    assert swapped
    async with aclosing(store.entries(LOCAL, snapshot.id)) as entries:
        found = {str(entry.path): entry async for entry in entries}
    assert "/persistence/z/secret" not in found
    assert found["/persistence/z"].kind is EntryKind.LINK


async def test_a_restore_does_not_go_through_a_link(store: ResticStore, tree: Path, elsewhere: Path) -> None:
    await store.ready(LOCAL)
    snapshot = await store.save(LOCAL, {"/persistence": tree}, name="alice", at=AT)
    link = tree.parent / "link"
    link.symlink_to(elsewhere)
    with pytest.raises(UnitFault):
        await store.restore(LOCAL, snapshot.id, link)
    assert names(elsewhere) == ["secret"]


async def test_names_that_look_like_options_or_patterns_are_names(store: ResticStore, tree: Path, into: Path) -> None:
    for name in ("--exclude=*", "-r", "*", "[a-z]", "Fatal: wrong password or no key found"):
        (tree / name).write_text(name)
    await store.ready(LOCAL)
    snapshot = await store.save(LOCAL, {"/persistence": tree}, name="-r", at=AT, tags=["--dry-run"])
    await store.restore(LOCAL, snapshot.id, into)
    assert content(into / "persistence") == content(tree)
    assert await store.read(LOCAL, snapshot.id, "/persistence/*", limit=10) == b"*"
    listed = await store.listing(LOCAL)
    assert (listed[0].name, listed[0].tags) == ("-r", frozenset({"--dry-run"}))


async def test_a_sandbox_has_nothing_but_what_it_was_given(tree: Path) -> None:
    sandbox = Sandbox(reads={"/persistence": tree}, files={"password": b"right"})
    async with running("ls", ["-1", "/"], sandbox) as run:
        top = [line.decode().strip() async for line in run.lines()]
        assert await run.ended() == 0
    assert {"proc", "root", "home", "var", "sys"}.isdisjoint(top)
    assert {"persistence", "run"} <= set(top)
    async with running("cat", [sandbox.file("password")], sandbox) as run:
        assert [line async for line in run.lines()] == [b"right"]
    other = replace(sandbox, files={}, hidden=Sandbox().hidden)
    async with running("cat", [sandbox.file("password")], other) as run:
        assert await run.ended() == 1
    async with running("rm", ["/persistence/sessions.json"], sandbox) as run:
        assert await run.ended() == 1
    assert (tree / "sessions.json").exists()


async def test_a_sandbox_without_a_network_has_none() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        url = f"telnet://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        codes = []
        for network in (False, True):
            async with running("curl", ["-s", "-m", "5", url], Sandbox(network=network)) as run:
                codes.append(await run.ended())
    assert codes[0] == 7  # no connection
    assert codes[1] != 7


async def test_a_hostile_repository_folder_is_erased_without_following_links(tmp_path: Path, elsewhere: Path) -> None:
    store = near(tmp_path)
    await store.ready(LOCAL)
    (tmp_path / "first" / OWNER / "data/link").symlink_to(elsewhere)
    await store.destroy(LOCAL)
    assert names(elsewhere) == ["secret"]
