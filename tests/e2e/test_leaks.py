"""The search for leaks finds what is there: a canary test that can't fail proves nothing."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.e2e.canary_kinds import KINDS
from tests.support.leaks import Kind, leaks, open_homes

SECRET = 'a "canary"/sings+77'
KIND = Kind(name="canary", at_home=["file:cage/*"])


@pytest.mark.parametrize(
    "spelled",
    [
        SECRET,
        json.dumps(SECRET),
        json.dumps(SECRET).replace("/", "\\/"),
        json.dumps(json.dumps(SECRET)),
        repr(SECRET),
        quote(SECRET),
        quote(SECRET, safe=""),
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(f"a:{SECRET}:b".encode()).decode(),
        base64.urlsafe_b64encode(f"ab:{SECRET}".encode()).decode(),
    ],
)
def test_however_it_is_spelled(spelled: str) -> None:
    places = {"file:cage/bird": SECRET.encode(), "file:log": f"before {spelled} after".encode(), "api:/": b"nothing"}
    (found,) = leaks([KIND], {"canary": SECRET}, places)
    assert found.startswith("canary (")
    assert "in file:log" in found


@pytest.mark.parametrize("spelled", [bytes(range(32)), bytes(range(32)).hex().encode()])
def test_a_key_is_found_as_bytes_too(spelled: bytes) -> None:
    key = base64.b64encode(bytes(range(32))).decode()
    places = {"file:innkeeper.db": b"before" + spelled + b"after"}
    assert len(leaks([Kind(name="canary", binary=True)], {"canary": key}, places)) == 1


def test_a_home_must_be_closed(tmp_path: Path) -> None:
    cage = tmp_path / "cage"
    cage.mkdir(mode=0o755)
    tmp_path.chmod(0o755)
    (cage / "bird").touch(mode=0o644)
    assert open_homes([KIND], tmp_path) == [str(cage / "bird")]
    cage.chmod(0o700)
    assert open_homes([KIND], tmp_path) == []


def test_no_kind_is_at_home_everywhere() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS)
    assert not [kind.name for kind in KINDS for home in kind.at_home if home.startswith("*")]
