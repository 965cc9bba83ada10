"""`innkeeper receipt`, and the receipt of `tenant delete --purge`: kept in a file, checked with no control plane."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from innkeeper.keyring import Keyring
from tests.api.bench import Bench
from tests.cli.conftest import Run


async def test_a_purge_writes_its_receipt(inn: Run, bench: Bench, tmp_path: Path) -> None:
    file, key = tmp_path / "receipt.json", tmp_path / "key.pem"
    await bench.tenant()
    done = await inn("tenant", "delete", "alice", "--purge", "--yes", "--receipt", str(file))
    assert done.code == 0
    receipt_id = done.out.splitlines()[-1].removeprefix("receipt: ")
    key.write_text((await inn("receipt", "key")).out)
    assert (await inn("receipt", "list", "--json")).document[0]["id"] == receipt_id
    shown = await inn("receipt", "show", receipt_id, "--output", str(tmp_path / "again.json"))
    assert "alice" in shown.out
    assert "audit trail" in shown.out
    assert (tmp_path / "again.json").read_text() == file.read_text()
    assert "pending" not in json.loads(file.read_text())


async def test_it_is_checked_with_the_key_alone(
    inn: Run, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, key = tmp_path / "receipt.json", tmp_path / "key.pem"
    await bench.tenant()
    await inn("tenant", "delete", "alice", "--purge", "--yes", "--receipt", str(file))
    key.write_text((await inn("receipt", "key")).out)
    monkeypatch.setenv("INNKEEPER_API", "127.0.0.1:1")
    monkeypatch.setenv("INNKEEPER_DATA", str(tmp_path / "nothing"))
    well = await inn("receipt", "verify", str(file), "--key", str(key))
    assert (well.code, "as it was signed" in well.out) == (0, True)
    file.write_text(file.read_text().replace('"name": "alice"', '"name": "alicf"'))
    ill = await inn("receipt", "verify", str(file), "--key", str(key), "--json")
    assert (ill.code, ill.document["ok"], len(ill.document["faults"])) == (1, False, 1)
    assert not (tmp_path / "nothing").exists()  # no keyring is made for it


async def test_it_is_checked_with_the_keyring_of_this_host(
    inn: Run, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring = Keyring.open(tmp_path / "kept")
    bench.house.signer = bench.house.erasure._signer = keyring.signer
    file = tmp_path / "receipt.json"
    await bench.tenant()
    await inn("tenant", "delete", "alice", "--purge", "--yes", "--receipt", str(file))
    monkeypatch.setenv("INNKEEPER_DATA", str(tmp_path / "kept"))
    keyring.rotate()
    assert (await inn("receipt", "verify", str(file))).code == 0
    Keyring.open(tmp_path / "other")
    monkeypatch.setenv("INNKEEPER_DATA", str(tmp_path / "other"))
    other = await inn("receipt", "verify", str(file))
    assert (other.code, "another key" in other.out) == (1, True)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"statement": 1}', "[" * 100_000, '{"x": 1e999}'])
async def test_what_is_no_receipt_is_told(run: Run, tmp_path: Path, content: str) -> None:
    (tmp_path / "x").write_text(content)
    (tmp_path / "key.pem").write_text(Keyring.open(tmp_path / "kept").signer.public_key)
    assert (await run("receipt", "verify", str(tmp_path / "x"), "--key", str(tmp_path / "key.pem"))).code == 2
    assert (await run("receipt", "verify", str(tmp_path / "absent"), "--key", str(tmp_path / "key.pem"))).code == 2


async def test_a_receipt_is_of_a_purge_that_is_waited_for(run: Run) -> None:
    for options in (("--purge", "--no-wait"), ()):
        assert (await run("tenant", "delete", "alice", "--yes", "--receipt", "x", *options)).code == 2


async def test_a_delete_alone_says_what_it_keeps(inn: Run, bench: Bench) -> None:
    await bench.tenant()
    done = await inn("tenant", "delete", "alice", "--yes")
    assert "Kept: folder, data key, snapshots, usage." in done.err


async def test_openssl_and_jq_agree_as_the_docs_say(inn: Run, bench: Bench, tmp_path: Path) -> None:
    if shutil.which("jq") is None:
        pytest.skip("there is no jq")
    await bench.tenant()
    await inn("tenant", "delete", "alice", "--purge", "--yes", "--receipt", str(tmp_path / "alice-receipt.json"))
    (tmp_path / "innkeeper-receipts.pem").write_text((await inn("receipt", "key")).out)
    page = Path("docs/how-to/erase-a-persons-data.md").read_text()
    lines = [line.removeprefix("$ ") for line in page.splitlines() if line.startswith("$ ")]
    assert len(lines) == 3
    shell = ["bash", "-c", "\n".join(lines)]
    done = await asyncio.to_thread(subprocess.run, shell, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "Signature Verified Successfully", done
