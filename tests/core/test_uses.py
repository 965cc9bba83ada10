"""What an agent may use, as it is said and checked."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from innkeeper.core.audit import told_uses
from innkeeper.core.errors import InvalidSpec
from innkeeper.core.uses import NO_USES, EgressMode, ProviderKind
from innkeeper.core.uses_reading import changed_uses, provider_of, uses_of

GITHUB = {"url": "https://mcp.example.com/mcp", "headers": {"Authorization": "Bearer ${secret:GITHUB}"}}


def test_what_isnt_said_stays_and_what_is_said_replaces() -> None:
    first = changed_uses(NO_USES, {"budget": {"day_tokens": 1000}, "mcp": {"github": GITHUB}})
    second = changed_uses(first, {"mcp": {}, "egress": {"mode": "enforce", "names": ["API.github.com."]}})
    assert second.budget.day_tokens == 1000
    assert second.mcp == {}
    assert second.egress.mode is EgressMode.ENFORCE
    assert second.egress.names == ("api.github.com",)


def test_uses_come_back_as_they_were_kept() -> None:
    uses = uses_of(
        {
            "plan": "gold",
            "budget": {"month_usd": 12.5},
            "calls_per_minute": 60,
            "models": ["claude-*"],
            "providers": {"mine": {"kind": "http", "base_url": "https://api.example.com", "inject": "query:key"}},
            "mcp": {"github": GITHUB, "shared": "shared"},
            "egress": {"mode": "learn", "names": ["*.example.com"]},
        }
    )
    assert uses_of(asdict(uses)) == uses
    assert uses.providers["mine"].kind is ProviderKind.HTTP


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"plan": "../gold"}, "uses.plan"),
        ({"budget": {"day_tokens": -1}}, "uses.budget.day_tokens"),
        ({"calls_per_minute": 0}, "uses.calls_per_minute"),
        ({"models": ["a b"]}, "uses.models"),
        ({"providers": {"X": {}}}, "uses.providers"),
        ({"providers": {"x": {"kind": "http", "base_url": "file:///etc/passwd"}}}, "uses.providers.x.base_url"),
        ({"providers": {"x": {"kind": "http", "base_url": "https://u:p@a.example"}}}, "uses.providers.x.base_url"),
        ({"providers": {"x": {"kind": "http", "base_url": "https://u:/p@a.example"}}}, "uses.providers.x.base_url"),
        ({"providers": {"x": {"kind": "http", "base_url": "https://u:8/p@a.example"}}}, "uses.providers.x.base_url"),
        ({"mcp": {"x": {"url": "https://u:?p@a.example"}}}, "uses.mcp.x.url"),
        ({"providers": {"x": {"kind": "http", "base_url": "https://:p@a.example"}}}, "uses.providers.x.base_url"),
        (
            {"providers": {"x": {"kind": "openai", "base_url": "https://a.example", "keys": ["sk-1234567890"]}}},
            "uses.providers.x.keys.0",
        ),
        (
            {"providers": {"x": {"kind": "http", "base_url": "https://a.example", "inject": "cookie:a"}}},
            "uses.providers.x.inject",
        ),
        (
            {"providers": {"x": {"kind": "http", "base_url": "https://a.example", "inject": "header:Content-Length"}}},
            "uses.providers.x.inject",
        ),
        (
            {"providers": {"x": {"kind": "openai", "base_url": "https://a.example", "keys": ["${env:OPENAI_KEY}"]}}},
            "uses.providers.x.keys.0",
        ),
        ({"mcp": {"x": {"url": "https://a.example", "headers": {"X": "a\nb"}}}}, "uses.mcp.x.headers"),
        (
            {"mcp": {"x": {"url": "https://a.example", "headers": {"X": "${secret:integration.google}"}}}},
            "uses.mcp.x.headers",
        ),
        (
            {"providers": {"x": {"kind": "http", "base_url": "https://a.b", "keys": ["${secret:integration.g}"]}}},
            "uses.providers.x.keys.0",
        ),
        ({"mcp": {"x": {"url": "https://a.example", "headers": {"X-Api-Key": "1234"}}}}, "uses.mcp.x.headers"),
        ({"egress": {"names": ["10.0.0.1"]}}, "uses.egress.names"),
        ({"egress": {"names": ["*"]}}, "uses.egress.names"),
    ],
)
def test_what_cant_be_is_refused_by_its_field(said: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidSpec) as refused:
        uses_of(said)
    assert refused.value.field == field
    assert "sk-1234567890" not in str(refused.value)


def test_what_is_no_name_of_a_server_is_neither_kept_nor_quoted() -> None:
    with pytest.raises(InvalidSpec) as refused:
        uses_of({"mcp": {"x": "Bearer A_Credential"}})
    assert refused.value.field == "uses.mcp.x"
    assert "A_Credential" not in f"{refused.value} {refused.value.hint}"


def test_keys_that_a_provider_may_name() -> None:
    said = {"kind": "openai", "base_url": "https://a.example", "keys": ["${secret:A}", "${integration:drive}"]}
    assert uses_of({"providers": {"x": said}}).providers["x"].keys == ("${secret:A}", "${integration:drive}")
    assert provider_of({**said, "keys": ["${env:A}"]}, "providers.x").keys == ("${env:A}",)


def test_the_trail_is_told_no_header() -> None:
    told = told_uses(uses_of({"mcp": {"github": {**GITHUB, "headers": {"X-Team": "red"}}}}))
    assert "red" not in str(told)
    assert "X-Team" in str(told)
