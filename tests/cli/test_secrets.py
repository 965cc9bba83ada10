"""Secrets and the keyring by the command line: values come by stdin, file or unseen typing, and never go out."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from innkeeper.core.access import ADMIN
from tests.api.bench import Bench
from tests.cli.conftest import Run

PEM = "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----\n"


@pytest.fixture
async def alice(bench: Bench) -> Bench:
    await bench.tenant("alice")
    return bench


async def revealed(bench: Bench, name: str = "KEY", tenant: str | None = "alice") -> str:
    return await bench.house.vault.reveal(name, await bench.house.control.tenant(tenant) if tenant else None)


async def test_a_secret_is_set_listed_rotated_and_deleted(
    alice: Bench, inn: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("canary-one\n"))
    said = await inn("secret", "set", "alice", "KEY", "--expires", "30d")
    assert (said.code, said.out) == (0, "KEY is set (version 1)\n")
    assert await revealed(alice) == "canary-one", "without the line's end that echo puts there"
    file = tmp_path / "pem"
    file.write_text(PEM)
    rotated = await inn("secret", "rotate", "alice", "KEY", "--from-file", str(file), "--json")
    assert (rotated.code, rotated.document["version"], rotated.document["expires_at"]) == (0, 2, None)
    assert await revealed(alice) == PEM, "several lines stay as they are"
    assert (await inn("secret", "rotate", "alice", "KEY", "--back-to", "1")).code == 0
    assert await revealed(alice) == "canary-one"
    listed = await inn("secret", "list", "alice")
    assert listed.out.split()[:6] == ["NAME", "VERSION", "SET", "BY", "EXPIRES", "KEPT"]
    found = (await inn("secret", "list", "alice", "--json")).document
    assert [(each["name"], each["version"], len(each["versions"])) for each in found] == [("KEY", 3, 3)]
    deleted = await inn("secret", "delete", "alice", "KEY", "--yes")
    assert (deleted.code, deleted.out) == (0, "KEY is deleted\n")
    empty = await inn("secret", "list", "alice")
    assert (empty.code, empty.err) == (0, "alice has no secrets.\n")
    assert not any("canary" in each.out + each.err for each in (said, rotated, listed, deleted, empty))


async def test_the_platforms_own(alice: Bench, inn: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("canary"))
    assert (await inn("secret", "set", "--platform", "KEY")).code == 0
    assert await revealed(alice, tenant=None) == "canary"
    assert [each["name"] for each in (await inn("secret", "list", "--platform", "--json")).document] == ["KEY"]
    assert (await inn("secret", "list", "alice", "--json")).document == []
    assert (await inn("secret", "delete", "--platform", "KEY", "-y", "--json")).document["deleted"]


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        (("set", "alice", "../x"), 2, "can't be a secret's name"),
        (("set", "alice", "integration.x"), 2, "integrations alone"),
        (("set", "nobody", "KEY"), 3, "no tenant"),
        (("set", "..", "KEY"), 3, "no tenant"),
        (("rotate", "alice", "KEY"), 3, "no secret"),
        (("rotate", "alice", "KEY", "--back-to", "1", "--from-file", "-"), 2, "nothing to read"),
        (("delete", "alice", "KEY", "--yes"), 3, "no secret"),
        (("set", "alice", "KEY", "canary"), 2, "takes a tenant"),
        (("set", "KEY"), 2, "takes a tenant"),
        (("set", "--platform", "alice", "KEY"), 2, "the secret's name alone"),
        (("list",), 2, "Name a tenant"),
        (("list", "alice", "--platform"), 2, "Name a tenant"),
        (("set", "alice", "KEY", "--from-file", "/no/such/file"), 2, "can't be read"),
    ],
)
async def test_what_cant_be_done_says_why(
    alice: Bench, inn: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], code: int, says: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("value"))
    said = await inn("secret", *command)
    assert (said.code, says in said.err) == (code, True), said.err


@pytest.mark.parametrize("value", ["", "\n", "a\0b", "x" * 70_000, "x" * (1 << 20)])
async def test_values_that_may_not_be(alice: Bench, inn: Run, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(value))
    said = await inn("secret", "set", "alice", "KEY")
    assert said.code in (1, 2)
    assert len(said.err) < 500
    assert (await inn("secret", "list", "alice", "--json")).document == []


@pytest.mark.usefixtures("inn")
async def test_a_typed_value_is_not_shown(alice: Bench) -> None:
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "innkeeper", "secret", "set", "alice", "KEY"]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)

    def converse() -> str:
        seen = ""
        while "Value of KEY: " not in seen:
            seen += os.read(master, 1000).decode()
        os.write(master, b"canary\n")
        try:
            while more := os.read(master, 1000):
                seen += more.decode()
        except OSError:  # how Linux says that the other side has gone
            pass
        process.wait()
        return seen

    seen = await asyncio.to_thread(converse)
    os.close(master)
    assert (process.returncode, "canary" in seen) == (0, False), seen
    assert await revealed(alice) == "canary"


# --- the keyring ------------------------------------------------------------------------------------------------------


async def test_the_keyring_is_shown_exported_rotated_and_put_back(
    bench: Bench, inn: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = await inn("keyring", "show")
    assert (shown.code, "Never exported" in shown.err) == (0, True)
    rotated = (await inn("keyring", "rotate", "--json")).document
    assert rotated["added"] == rotated["newest"]
    monkeypatch.setenv("INNKEEPER_DATA", str(bench.inn.data / "house"))
    words, file = tmp_path / "words", tmp_path / "copy"
    words.write_text("correct horse battery staple\n")
    written = await inn("keyring", "export", str(file), "--passphrase-file", str(words), "--json")
    assert written.document == {"file": str(file), "keys": 0, "encrypted": True}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (await inn("keyring", "export", str(file))).code == 1, "no export is overwritten"
    (bench.inn.data / "house/keyring").unlink()
    assert (await inn("keyring", "import", str(file))).code == 1, "the passphrase is missing"
    back = await inn("keyring", "import", str(file), "--passphrase-file", str(words), "--json")
    assert back.document == {"masters": True, "keys": 0, "left": 0}
    monkeypatch.delenv("INNKEEPER_DATA")
    async with bench.client() as client:
        found = (await client.get("/v1/keyring")).json()
        assert [each["id"] for each in found["masters"]][-1] == rotated["newest"]
        assert [each["file"] for each in found["exports"]] == [str(file)]
        trail = (await client.get("/v1/audit")).json()["items"]
    assert [each["detail"]["newest"] for each in trail if each["action"] == "keyring.rotate"] == [rotated["newest"]]


async def test_a_new_keyring_is_printed_for_other_places(run: Run) -> None:
    one, other = [(await run("keyring", "new")).document for _ in range(2)]
    assert one["keys"][0]["key"] != other["keys"][0]["key"]


async def test_an_agents_config_is_read_from_a_file(alice: Bench, inn: Run, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"channels": {"x": {"token": "${secret:KEY}"}}}))
    await alice.house.vault.set("alice", "KEY", "canary", actor=ADMIN)
    said = await inn("tenant", "update", "alice", "--agent-config", str(file), "--json")
    assert said.code == 0, said.err
    shown = (await inn("tenant", "show", "alice", "--json")).document
    assert shown["config"] == {"channels": {"x": {"token": "${secret:KEY}"}}}
    assert "canary" not in json.dumps(shown)
    assert "canary" in alice.house.units.folders["alice"]["plain.json"].decode()
