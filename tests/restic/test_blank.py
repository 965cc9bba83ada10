"""A repository that we lay out is restic's own in all that it does with it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from innkeeper.restic.blank import lay_out, random_polynomial


def restic(folder: Path, *arguments: str) -> str:
    """What it prints."""
    environment = {"RESTIC_PASSWORD": "secret", "HOME": str(folder), "PATH": os.environ["PATH"]}
    command = ["restic", "--no-cache", "--repo", str(folder), *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def test_restic_opens_fills_checks_and_gives_it_another_key(tmp_path: Path) -> None:
    polynomial = random_polynomial()
    lay_out(tmp_path / "r", "secret", polynomial)
    config = json.loads(restic(tmp_path / "r", "cat", "config"))
    assert (config["version"], config["chunker_polynomial"]) == (2, polynomial)
    (tmp_path / "some").write_bytes(os.urandom(5 << 20))
    restic(tmp_path / "r", "backup", str(tmp_path / "some"))
    assert "no errors" in restic(tmp_path / "r", "check", "--read-data")
    (tmp_path / "new").write_text("another")
    restic(tmp_path / "r", "key", "add", "--new-password-file", str(tmp_path / "new"))
    assert len(json.loads(restic(tmp_path / "r", "key", "list", "--json"))) == 2


def test_no_two_are_alike_and_none_holds_the_password(tmp_path: Path) -> None:
    made = []
    for name in ("a", "b"):
        lay_out(tmp_path / name, "a-password-of-the-tests", random_polynomial())
        made.append({path.name: path.read_bytes() for path in (tmp_path / name).rglob("*") if path.is_file()})
    assert set(made[0]) & set(made[1]) == {"config"}
    assert made[0]["config"] != made[1]["config"]
    assert b"a-password" not in b"".join([*made[0].values(), *made[1].values()])
    assert all(path.stat().st_mode & 0o77 == 0 for path in (tmp_path / "a").rglob("*"))


def test_polynomials_are_irreducible_of_degree_53() -> None:
    for _ in range(20):
        polynomial = int(random_polynomial(), 16)
        assert polynomial.bit_length() == 54
        # By trial division, up to what is cheap: a random one has a factor of degree 12 or less three times in four.
        for factor in range(2, 1 << 13):
            assert remainder(polynomial, factor), (polynomial, factor)


def remainder(polynomial: int, by: int) -> int:
    """In GF(2)[x]."""
    while polynomial.bit_length() >= by.bit_length():
        polynomial ^= by << (polynomial.bit_length() - by.bit_length())
    return polynomial
