"""`innkeeper unit import`: plans shown, exports sent, encrypted ones opened on the way."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path

import pyrage
import pytest

from innkeeper.core.importing import Importing
from innkeeper.units.age_passphrase import Sealing
from tests.api.bench import Bench, opened
from tests.api.test_imports import exported
from tests.cli.conftest import Run
from tests.support import layouts
from tests.support.arriving import open_house
from tests.support.layouts import SECRETS


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened(tmp_path / "data", hospitable=True) as bench:
        importing = bench.inn.importing
        assert isinstance(importing, Importing)
        async with open_house(bench.house, importing, tenants=False):
            yield bench


async def test_a_dry_run_tells_what_becomes_of_what_and_no_secret(inn: Run, tmp_path: Path) -> None:
    source = layouts.marcoby(tmp_path)
    said = await inn("unit", "import", "--from", "marcoby", str(source), "--dry-run")
    assert said.code == 0, said.err
    for part in ("client-alpha becomes client-alpha", "persistence", "MSTEAMS_APP_PASSWORD", "secret OPENAI_API_KEY"):
        assert part in said.out
    assert not any(secret in said.out + said.err for secret in SECRETS)
    assert (await inn("tenant", "list", "--json")).document == []


async def test_another_systems_unit_is_taken_in(inn: Run, tmp_path: Path) -> None:
    source = layouts.startclaw(tmp_path)
    unasked = await inn("unit", "import", "--from", "startclaw", str(source))
    assert (unasked.code, "nobody to ask" in unasked.err) == (2, True)
    said = await inn("unit", "import", "--from", "startclaw", str(source), "--as", "carol", "--yes")
    assert said.code == 0, said.err
    assert "carol is here" in said.out
    assert "tenant confirm carol" in said.err
    again = await inn("unit", "import", "--from", "startclaw", str(source), "--as", "carol", "--yes")
    assert (again.code, "There is a tenant carol already" in again.err) == (4, True)
    look = await inn("unit", "import", "--from", "startclaw", str(source), "--as", "carol", "--dry-run")
    assert (look.code, "There is a tenant carol already" in look.out) == (4, True)


async def test_exports_are_sent_plain_and_encrypted(inn: Run, tmp_path: Path) -> None:
    plain = exported(tmp_path, with_secrets=True, hostnames=[])
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "key.txt").write_text(f"# made today\n{identity}\n")
    (tmp_path / "words").write_text("correct horse\n")
    files = {"one": tmp_path / "one.tar", "two": tmp_path / "two.tar.age", "three": tmp_path / "three.tar.age"}
    files["one"].write_bytes(plain)
    files["two"].write_bytes(pyrage.encrypt(plain, [identity.to_public()]))
    sealed = io.BytesIO()
    sealing = Sealing(sealed, "correct horse", work=10)
    sealing.write(plain)
    sealing.close()
    files["three"].write_bytes(sealed.getvalue())
    keys: dict[str, list[str | Path]] = {
        "one": [],
        "two": ["--identity", tmp_path / "key.txt"],
        "three": ["--passphrase-file", tmp_path / "words"],
    }
    for name, file in files.items():
        said = await inn("unit", "import", str(file), "--as", name, *map(str, keys[name]), "--json")
        assert said.code == 0, said.err + said.out
        assert said.document["operations"][0]["status"] == "done"
    assert sorted(each["name"] for each in (await inn("tenant", "list", "--json")).document) == ["one", "three", "two"]


async def test_one_that_comes_without_its_secrets_is_here_and_says_what_it_lacks(inn: Run, tmp_path: Path) -> None:
    (tmp_path / "unit.tar").write_bytes(exported(tmp_path))
    said = await inn("unit", "import", str(tmp_path / "unit.tar"))
    assert (said.code, "alice is here" in said.out) == (1, True)
    assert "alice has no secret 'TG'" in said.err


async def test_what_doesnt_open_takes_nothing_in(inn: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = exported(tmp_path)
    identity, other = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    whole = pyrage.encrypt(plain, [identity.to_public()])
    (tmp_path / "right.txt").write_text(str(identity))
    (tmp_path / "wrong.txt").write_text(str(other))
    (tmp_path / "none.txt").write_text("AGE-SECRET-KEY-1NONSENSE")
    file = tmp_path / "unit.tar.age"
    for content, key in ((whole, "wrong.txt"), (whole[:-1000], "right.txt"), (whole, "none.txt")):
        file.write_bytes(content)
        said = await inn("unit", "import", str(file), "--identity", str(tmp_path / key))
        assert said.code == 1, said.err
        assert "NONSENSE" not in said.err
    (tmp_path / "words").write_text("wrong\n")
    said = await inn("unit", "import", str(file), "--passphrase-file", str(tmp_path / "words"))
    assert said.code == 1, said.err
    monkeypatch.setattr("sys.stdin", io.StringIO())
    said = await inn("unit", "import", str(file))
    assert (said.code, "is encrypted, and there is no passphrase" in said.err) == (2, True), said.err
    plain_file = tmp_path / "unit.tar"
    plain_file.write_bytes(plain[:5000])
    said = await inn("unit", "import", str(plain_file))
    assert (said.code, "cut off" in said.err) == (2, True)
    assert (await inn("unit", "import", str(tmp_path / "nowhere.tar"))).code == 1
    assert (await inn("tenant", "list", "--json")).document == []
    assert not list((tmp_path / "data").glob("imports/*"))
