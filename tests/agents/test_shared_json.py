"""A config file shared with the user: whose keys win, and what happens to one that can't be read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from innkeeper.agents.jsonfile import Tree, overlaid, shared_json, value_at
from innkeeper.core.errors import AgentConfigInvalid
from innkeeper.core.ports import ConfigFile

PATH = ".thing/config.json"
OURS = {"server": {"port": 1, "token": "mine"}}
DEFAULTS = {"style": {"colour": "red"}}


class Server(BaseModel):
    model_config = ConfigDict(extra="allow")
    port: int
    token: str


class Schema(BaseModel):
    model_config = ConfigDict(extra="allow")
    server: Server


def render(existing: bytes | None = None, ours: dict[str, Any] = OURS) -> list[ConfigFile]:
    files = {} if existing is None else {PATH: existing}
    return shared_json(PATH, files, ours=lambda _: ours, defaults=DEFAULTS, schema=Schema)


def test_a_first_file_holds_ours_and_the_defaults() -> None:
    [file] = render()
    assert file.path == PATH
    assert json.loads(file.content) == {"server": {"port": 1, "token": "mine"}, "style": {"colour": "red"}}


def test_the_users_keys_stay_and_win_over_defaults_but_not_over_ours() -> None:
    theirs = {"server": {"port": 9, "name": "n"}, "style": {"colour": "blue"}, "extra": [1, {"a": None}]}
    [file] = render(json.dumps(theirs).encode())
    assert json.loads(file.content) == {
        "server": {"port": 1, "name": "n", "token": "mine"},
        "style": {"colour": "blue"},
        "extra": [1, {"a": None}],
    }


def test_a_file_that_needs_no_change_keeps_its_bytes() -> None:
    odd = b'{"style":{"colour":"red"},\n\n  "server": {"token":"mine", "port":1}}'
    assert render(odd) == [ConfigFile(path=PATH, content=odd)]


def test_ours_may_depend_on_what_the_user_has() -> None:
    def ours(theirs: Tree) -> Tree:
        return {"server": {"port": theirs["a"], "token": "mine"}}

    [file] = shared_json(PATH, {PATH: b'{"a": 7}'}, ours=ours, defaults={}, schema=Schema)
    assert json.loads(file.content)["server"]["port"] == 7


@pytest.mark.parametrize("broken", [b"", b"{", b"[1]", b"null", b"\xff\xfe", b"// JSON5\n{a: 1}", b"[" * 100_000])
def test_a_broken_file_is_kept_aside_and_replaced(broken: bytes) -> None:
    aside, file = render(broken)
    assert aside.content == broken
    assert aside.path.startswith(PATH + ".broken-")
    assert json.loads(file.content)["server"] == OURS["server"]
    assert render(broken) == [aside, file]  # again, after a crash: no second copy


def test_another_broken_file_doesnt_overwrite_the_first() -> None:
    assert render(b"{1")[0].path != render(b"{2")[0].path


def test_what_doesnt_hold_is_refused_without_telling_the_token() -> None:
    with pytest.raises(AgentConfigInvalid, match=r"server\.port") as caught:
        render(ours={"server": {"port": "secret-port", "token": "secret-token"}})
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(), TREES, max_size=4)


@given(OBJECTS, OBJECTS)
def test_overlaying_again_changes_nothing(below: dict[str, Any], above: dict[str, Any]) -> None:
    once = overlaid(below, above)
    assert overlaid(once, above) == once
    assert overlaid(below, {}) == below
    assert overlaid({}, above) == above


def test_value_at_looks_only_into_objects() -> None:
    tree = {"a": {"b": 1}, "c": [1]}
    assert value_at(tree, "a", "b") == 1
    assert value_at(tree, "a", "x", "y") is None
    assert value_at(tree, "c", "0") is None
