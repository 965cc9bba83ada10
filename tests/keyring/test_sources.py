"""Where master keys come from: the environment and commands that answer, fail, hang or never stop."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from innkeeper.keyring import Keyring, KeyringFault
from innkeeper.keyring.sources import KeyringCommand, KeyringFile, KeyringText, MasterSource

CANARY = "bm90aGluZ25vdGhpbmdub3RoaW5nbm90aGluZ25vdGg="
NEWER = "bmV3ZXJuZXdlcm5ld2VybmV3ZXJuZXdlcm5ld2VybmU="


def keyring_json(**keys: str) -> str:
    """A keyring with these keys, each a year younger than the one before."""
    each = [
        f'{{"id": "{name}", "key": "{key}", "created_at": "20{number + 20}-01-01T00:00:00Z"}}'
        for number, (name, key) in enumerate(keys.items())
    ]
    return f'{{"version": 1, "keys": [{", ".join(each)}]}}'


ONE, TWO = keyring_json(mk_1=CANARY), keyring_json(mk_1=CANARY, mk_2=NEWER)


def printing(text: str, *, then: str = "") -> KeyringCommand:
    """A program that prints that."""
    return KeyringCommand([sys.executable, "-c", f"import sys\nsys.stdout.write({text!r})\n{then}"], takes_s=5)


@pytest.mark.parametrize(
    "source", [KeyringText(ONE, where="INNKEEPER_MASTER_KEY"), printing(ONE)], ids=["text", "command"]
)
def test_a_keyring_from_elsewhere_is_written_nowhere(tmp_path: Path, source: MasterSource) -> None:
    keyring = Keyring.open(tmp_path, source)
    sealed = keyring.seal("t_1", "msg", b"x")
    assert Keyring.open(tmp_path, source).unseal("t_1", "msg", sealed) == b"x"
    assert not (tmp_path / "keyring").exists()
    assert not any(CANARY.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_its_rotation_wraps_by_what_the_operator_has_added(tmp_path: Path) -> None:
    sealed = Keyring.open(tmp_path, printing(ONE)).seal("t_1", "msg", b"x")
    nothing = Keyring.open(tmp_path, printing(ONE)).rotate()
    assert (nothing.added, nothing.rewrapped) == (None, 0)
    assert "Add a newer key" in nothing.says
    done = Keyring.open(tmp_path, printing(TWO)).rotate()
    assert (done.added, done.newest, done.rewrapped) == (None, "mk_2", 1)
    assert Keyring.open(tmp_path, printing(TWO)).unseal("t_1", "msg", sealed) == b"x"
    with pytest.raises(KeyringFault, match="lacks the master key mk_2"):
        Keyring.open(tmp_path, printing(ONE))


def test_a_file_elsewhere(tmp_path: Path) -> None:
    source = KeyringFile(tmp_path / "mount/keyring.json")
    sealed = Keyring.open(tmp_path / "data", source).seal("t_1", "msg", b"x")
    assert not (tmp_path / "data/keyring").exists()
    assert Keyring.open(tmp_path / "data", source).unseal("t_1", "msg", sealed) == b"x"
    with pytest.raises(KeyringFault, match="no keyring"):  # the mount is away
        Keyring.open(tmp_path / "data", KeyringFile(tmp_path / "mounted/keyring.json"))
    assert not (tmp_path / "mounted").exists()


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["/nowhere/kms"], "can't be run"),
        (["bad\0name"], "can't be run"),
        ([sys.executable, "-c", "import sys; sys.exit(3)"], "ended with 3"),
        ([sys.executable, "-c", "pass"], "broken"),
        ([sys.executable, "-c", f"import sys; print({ONE!r}, file=sys.stderr); sys.exit(1)"], "ended with 1"),
        ([sys.executable, "-c", "while True: print('x' * 65536)"], "more than any keyring"),
        ([sys.executable, "-c", "import sys\nwhile True: sys.stderr.write('x' * 65536)"], "doesn't end"),
        ([sys.executable, "-c", "import time; time.sleep(60)"], "doesn't end"),
        ([sys.executable, "-c", "import os, time\nif os.fork() == 0: time.sleep(60)"], "doesn't end"),
    ],
)
def test_a_command_that_gives_no_keyring_is_a_fault_in_time(tmp_path: Path, argv: list[str], says: str) -> None:
    with pytest.raises(KeyringFault, match=says) as fault:
        Keyring.open(tmp_path, KeyringCommand(argv, takes_s=1))
    assert CANARY not in fault.value.message + fault.value.hint
    assert not list(tmp_path.iterdir())


def test_a_command_that_fails_says_the_end_of_its_reason(tmp_path: Path) -> None:
    source = printing("", then="print('first', file=sys.stderr); sys.exit('access\\x1b[31m denied')")
    with pytest.raises(KeyringFault, match=r"ended with 1: access\[31m denied") as fault:
        Keyring.open(tmp_path, source)
    assert "first" not in fault.value.message


@pytest.mark.parametrize("text", ["", "{", '{"version": 1, "keys": []}'])
def test_what_to_do_about_a_broken_one_is_said_by_where_it_comes_from(tmp_path: Path, text: str) -> None:
    with pytest.raises(KeyringFault, match="INNKEEPER_MASTER_KEY") as fault:
        Keyring.open(tmp_path, KeyringText(text, where="INNKEEPER_MASTER_KEY"))
    assert "INNKEEPER_MASTER_KEY has to give" in fault.value.hint
    assert "import" not in fault.value.hint, "it can't write there"
    (tmp_path / "keyring").touch(mode=0o600)
    (tmp_path / "keyring").write_text(text)
    with pytest.raises(KeyringFault) as fault:
        Keyring.open(tmp_path)
    assert "Move it aside, then" in fault.value.hint
    assert "innkeeper keyring import" in fault.value.hint
