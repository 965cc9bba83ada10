"""What agents call tools: names that every model's API takes, and that are never another tool's."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import mcp_types as types
from hypothesis import given
from hypothesis import strategies as some

from innkeeper.broker.mcp.catalogue import OFFERED_BYTES, joined, shelf_of
from innkeeper.broker.mcp.line import Listed
from innkeeper.broker.mcp.names import LONGEST, exposed
from innkeeper.broker.mcp.servers import Server
from innkeeper.core.tenant import Limits, Spec, Tenant
from innkeeper.core.uses import McpServer

ACCEPTED = re.compile(r"[a-zA-Z0-9_-]{1,48}")
SERVERS = some.from_regex(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?", fullmatch=True)


def server(name: str = "docs", **fields: object) -> Server:
    spec = Spec(agent="nanobot", release="1", image="sha256:0", limits=Limits(memory_mb=512, cpus=1.0))
    tenant = Tenant(id="t", name="alice", spec=spec, slot=0, created_at=datetime.now(UTC))
    return Server(
        name=name, tenant=tenant, house=False, spec=McpServer(**{"url": "http://x", **fields})  # type: ignore[arg-type]
    )  # fmt: skip


def listed(*names: str, **fields: object) -> Listed:
    tools = [types.Tool(name=name, input_schema={"type": "object", **fields}) for name in names]
    return Listed(tools=tuple(tools), whole=True)


def test_an_ordinary_name_stays_legible() -> None:
    assert exposed("github", "create_issue") == "github__create_issue"
    assert exposed("a-b", "getThing-2") == "a-b__getThing-2"


def test_a_long_or_strange_one_is_shortened_and_always_the_same() -> None:
    assert exposed("github", "issues.create/v2") == "github__issues_create_v2_aaa1d819"
    long = exposed("github", "create_" + "very_" * 20 + "long")
    assert long == exposed("github", "create_" + "very_" * 20 + "long")
    assert long.startswith("github__create_very_very")
    assert len(long) <= LONGEST
    assert ACCEPTED.fullmatch(exposed("x" * 32, "Ünïcödé 工具"))


@given(SERVERS, some.text(max_size=200))
def test_every_name_is_accepted_and_no_agent_makes_another_one_of_it(name: str, tool: str) -> None:
    made = exposed(name, tool)
    assert ACCEPTED.fullmatch(made)
    assert made.startswith(name + "__")
    assert "__" not in made[len(name) + 2 :], "some agents turn runs of underscores into one"


@given(SERVERS, SERVERS, some.text(max_size=80), some.text(max_size=80))
def test_names_of_two_servers_are_never_equal(one: str, other: str, tool: str, another: str) -> None:
    if one != other:
        assert exposed(one, tool) != exposed(other, another)


def test_a_made_up_name_never_takes_a_real_ones_place() -> None:
    strange = "a.b"
    taken = exposed("docs", strange).removeprefix("docs__")
    shelf = shelf_of(server(), listed(strange, taken))
    assert [(offer.name, offer.tool.name) for offer in shelf.offers] == [(f"docs__{taken}", taken)]
    assert set(shelf.left_out) == {strange}


def test_patterns_go_by_the_servers_own_names_and_denial_wins() -> None:
    shelf = shelf_of(
        server(allow=("read_*", "write.it"), deny=("*_secret",)), listed("read_a", "read_secret", "write.it", "x")
    )
    assert {offer.tool.name for offer in shelf.offers} == {"read_a", "write.it"}
    assert set(shelf.denied) == {"read_secret", "x"}


def test_schemas_beyond_all_measure_are_left_out() -> None:
    shelf = shelf_of(server(), listed("a", "b", "c", description="x" * (OFFERED_BYTES // 2)))
    assert [offer.tool.name for offer in shelf.offers] == ["a"]
    assert set(shelf.left_out) == {"b", "c"}


def test_what_is_shown_is_the_tool_itself_under_another_name() -> None:
    (offer,) = joined([shelf_of(server(), listed("a", properties={"x": {"type": "string"}}))]).values()
    assert offer.shown().name == "docs__a"
    assert offer.shown().input_schema["properties"] == {"x": {"type": "string"}}
    assert offer.tool.name == "a"
