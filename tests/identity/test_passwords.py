"""Passwords: kept as Argon2id, checked with the same work for everybody."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from innkeeper.core.identity_errors import PasswordInvalid
from innkeeper.identity import passwords as module
from innkeeper.identity.passwords import Argon2Passwords

RIGHT = "correct horse battery"


@pytest.fixture
def passwords() -> Iterator[Argon2Passwords]:
    made = Argon2Passwords()
    yield made
    made.close()


async def test_a_password_is_known_by_its_hash_alone(passwords: Argon2Passwords) -> None:
    phc = await passwords.hash(RIGHT)
    assert phc.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert phc != await passwords.hash(RIGHT)
    assert await passwords.verify(RIGHT, phc)
    for wrong in (RIGHT + " ", RIGHT[:-1], RIGHT.upper(), "", "\ud800" * 12, RIGHT + "\0", "x" * 100_000):
        assert not await passwords.verify(wrong, phc)


async def test_one_that_is_typed_on_another_keyboard_is_the_same(passwords: Argon2Passwords) -> None:
    assert await passwords.verify("cafe\u0301 au lait, s'il", await passwords.hash("caf\u00e9 au lait, s'il"))


_CROWD = """
import asyncio, re
from pathlib import Path
from innkeeper.identity.passwords import Argon2Passwords

def resident_mb(which):
    return int(re.search(which + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024

async def crowd():
    passwords, before = Argon2Passwords(), resident_mb("VmRSS")
    await asyncio.gather(*(passwords.verify("wrong", None) for _ in range(20)))
    print(resident_mb("VmHWM") - before, resident_mb("VmRSS") - before)

asyncio.run(crowd())
"""


def test_a_crowd_takes_the_memory_of_two_and_gives_it_back() -> None:
    done = subprocess.run([sys.executable, "-c", _CROWD], capture_output=True, text=True, check=True)
    peak_mb, left_mb = map(int, done.stdout.split())
    assert 30 < peak_mb < 50
    assert left_mb < 10


async def test_a_user_who_isnt_there_costs_the_same_work(
    passwords: Argon2Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    worked: list[str] = []
    matches = module._matches

    def watched(password: bytes, phc: str) -> bool:
        worked.append(phc.split("$")[3])
        return matches(password, phc)

    monkeypatch.setattr(module, "_matches", watched)
    phc = await passwords.hash(RIGHT)
    assert await passwords.verify(RIGHT, phc)
    for password, kept in ((RIGHT, None), ("", None), ("x" * 10_000, phc), ("\ud800", phc), (RIGHT, "broken")):
        assert not await passwords.verify(password, kept)
    assert worked == ["m=19456,t=2,p=1"] * 6


@pytest.mark.parametrize(
    "phc",
    [
        "",
        "x",
        "$argon2id$v=19$m=4194304,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$v=19$m=19456,t=99,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$v=19$m=0,t=0,p=0$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$argon2i$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ],
)
async def test_a_hash_that_somebody_spoilt_lets_nobody_in(passwords: Argon2Passwords, phc: str) -> None:
    assert not await passwords.verify(RIGHT, phc)
    assert passwords.outdated(phc)


async def test_a_hash_of_older_parameters_still_holds_and_is_to_be_made_anew(passwords: Argon2Passwords) -> None:
    old = Argon2id(salt=b"0123456789abcdef", length=32, iterations=1, lanes=1, memory_cost=8192)
    phc = old.derive_phc_encoded(RIGHT.encode())
    assert await passwords.verify(RIGHT, phc)
    assert passwords.outdated(phc)
    assert not passwords.outdated(await passwords.hash(RIGHT))


@pytest.mark.parametrize("password", ["", "x" * 11, "x" * 257, "\ud800" * 12, "Ada@Example.com"])
def test_what_keeps_no_rule_is_refused(passwords: Argon2Passwords, password: str) -> None:
    with pytest.raises(PasswordInvalid) as refused:
        passwords.check(password, mail="ada@example.com")
    assert refused.value.field == "password"
    assert not password or password not in refused.value.message


@pytest.mark.parametrize("password", ["x" * 12, "ü" * 256, "            ", "🔑" * 12])
def test_any_characters_will_do(passwords: Argon2Passwords, password: str) -> None:
    passwords.check(password, mail="ada@example.com")
