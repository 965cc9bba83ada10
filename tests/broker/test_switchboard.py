"""The model that is asked for chooses the provider, and what a tenant may use bounds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from innkeeper.broker.callers import Caller
from innkeeper.broker.calls import Call, Dialect, Endpoint
from innkeeper.broker.problems import ModelNotAllowed, ModelNotFound, ProtocolUnsupported
from innkeeper.broker.switchboard import Switchboard
from innkeeper.broker.upstream import Answer, Upstream
from tests.broker.house import caller

BOTH = frozenset({Endpoint.CHAT, Endpoint.MESSAGES})
CHAT_ONLY = frozenset({Endpoint.CHAT})


class Named:
    """A provider that is never asked."""

    def __init__(
        self,
        name: str,
        *patterns: str,
        default: str | None = None,
        endpoints: frozenset[Endpoint] = BOTH,
        slashed: bool = False,
    ) -> None:
        self.name = name
        self.endpoints = endpoints
        self.default = default
        self.patterns: Sequence[str] = patterns
        self.slashed = slashed

    def model_for(self, model: str) -> str:
        """The same."""
        return model

    def answer(self, call: Call) -> AbstractAsyncContextManager[Answer]:
        """Never."""
        raise AssertionError


ANTHROPIC = Named("anthropic", default="claude-s")
OPENAI = Named("openai", default="gpt-5", endpoints=CHAT_ONLY)
LOCAL = Named("local", "llama-*", "qwen", default="qwen", endpoints=CHAT_ONLY)
EXACT = Named("exact", "only-this", default="only-this")
ROUTER = Named("openai", default="openai/gpt-5", slashed=True)
MANY = Named("many", "many/*", "other/*")


def asking(model: str, endpoint: Endpoint = Endpoint.CHAT, **uses: Any) -> Call:
    """Alice's call."""
    request = {"model": model}
    return Call(caller=caller("alice", **uses), endpoint=endpoint, dialect=Dialect.OPENAI, request=request, headers={})


def having(*own: Upstream) -> Callable[[Caller], Mapping[str, Upstream]]:
    """Every tenant has these of its own."""
    return lambda _: {each.name: each for each in own}


@pytest.mark.parametrize(
    ("platform", "own", "model", "name", "real"),
    [
        ([ANTHROPIC, OPENAI, LOCAL], [], "default", "anthropic", "claude-s"),
        ([ANTHROPIC, OPENAI, LOCAL], [], "anything", "anthropic", "anything"),
        ([ANTHROPIC, OPENAI, LOCAL], [], "llama-4", "local", "llama-4"),
        ([ANTHROPIC, OPENAI, LOCAL], [], "openai/gpt-6", "openai", "gpt-6"),
        ([ANTHROPIC, OPENAI, LOCAL], [], "openai/default", "openai", "gpt-5"),
        ([ANTHROPIC, OPENAI, LOCAL], [], "local/unlisted", "local", "unlisted"),
        ([ANTHROPIC, OPENAI, LOCAL], [], "nobody/x", "anthropic", "nobody/x"),
        ([ANTHROPIC, OPENAI, LOCAL], [], "openai/", "anthropic", "openai/"),
        ([ANTHROPIC, LOCAL], [EXACT], "default", "exact", "only-this"),
        ([ANTHROPIC, LOCAL], [EXACT], "llama-4", "local", "llama-4"),
        ([ANTHROPIC, LOCAL], [Named("local", "llama-*")], "local/llama-4", "own local", "llama-4"),
        ([ANTHROPIC, LOCAL], [Named("mine", "llama-*")], "llama-4", "mine", "llama-4"),
        ([ANTHROPIC, LOCAL], [Named("mine")], "claude-s", "mine", "claude-s"),
        ([ROUTER], [], "openai/gpt-6", "openai", "openai/gpt-6"),
        ([ANTHROPIC, MANY], [], "many/x", "many", "many/x"),
        ([ANTHROPIC, MANY], [], "many/elsewhere/x", "many", "many/elsewhere/x"),
        ([ANTHROPIC, MANY], [], "other/x", "many", "other/x"),
    ],
)
def test_who_answers_and_with_what(
    platform: list[Upstream], own: list[Upstream], model: str, name: str, real: str
) -> None:
    line = Switchboard(platform, having(*own)).pick(asking(model))
    assert (line.name, line.model) == (name.removeprefix("own "), real)
    assert line.own is (line.upstream in own)
    assert not name.startswith("own") or line.own


def test_only_those_who_speak_the_protocol_are_asked() -> None:
    board = Switchboard([OPENAI, ANTHROPIC])
    assert board.pick(asking("default", Endpoint.MESSAGES)).name == "anthropic"
    assert board.pick(asking("gpt-5", Endpoint.MESSAGES)).name == "anthropic"
    with pytest.raises(ProtocolUnsupported, match="openai"):
        board.pick(asking("openai/gpt-5", Endpoint.COUNT_TOKENS))


def test_a_model_that_nobody_serves() -> None:
    board = Switchboard([LOCAL, EXACT])
    for model in ("gpt-5", "other/gpt-5"):
        with pytest.raises(ModelNotFound):
            board.pick(asking(model))


@pytest.mark.parametrize(
    ("allowed", "model", "passes"),
    [
        ([], "anything", True),
        (["claude-*"], "default", True),
        (["claude-*"], "claude-x", True),
        (["claude-*"], "anthropic/claude-x", True),
        (["claude-*"], "openai/claude-x", True),
        (["claude-*"], "gpt-5", False),
        (["anthropic/*"], "claude-x", True),
        (["anthropic/*"], "openai/gpt-5", False),
        (["default"], "default", True),
        (["default"], "claude-s", False),
        (["gpt-*"], "openai/default", True),
        (["Claude-*"], "claude-x", False),
        (["claude-s"], "claude-s2", False),
    ],
)
def test_models_that_a_tenant_may_use(allowed: list[str], model: str, passes: bool) -> None:
    board = Switchboard([ANTHROPIC, OPENAI])
    if passes:
        board.pick(asking(model, models=allowed))
    else:
        with pytest.raises(ModelNotAllowed):
            board.pick(asking(model, models=allowed))


def test_the_default_is_one_that_the_tenant_may_use() -> None:
    board = Switchboard([ANTHROPIC, OPENAI, LOCAL])
    line = board.pick(asking("default", models=["llama-*", "gpt-*", "openai/gpt-mini"]))
    assert (line.name, line.model) == ("openai", "gpt-mini")
    with pytest.raises(ModelNotAllowed):
        board.pick(asking("default", models=["gpt-*"]))


def test_the_list_holds_what_may_be_asked_for_and_each_name_leads_there() -> None:
    board = Switchboard([ANTHROPIC, OPENAI, LOCAL], having(Named("mine", "qwen", default="qwen")))
    everything = board.models(caller("alice"))
    assert everything == [
        ("default", "mine"),
        ("qwen", "mine"),
        ("claude-s", "anthropic"),
        ("openai/gpt-5", "openai"),
        ("local/qwen", "local"),
    ]
    for name, owner in everything:
        assert board.pick(asking(name)).name == owner
    assert board.models(caller("alice", models=["gpt-*"])) == [("openai/gpt-5", "openai")]
    assert board.models(caller("alice", models=["nothing-*"])) == []
