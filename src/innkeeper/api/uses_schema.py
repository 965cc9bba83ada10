"""What an agent may use, as it is described in OpenAPI."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from innkeeper.api.forms import Body
from innkeeper.core.uses import EgressMode, ProviderKind

_Text = Annotated[str, Field(max_length=200)]
_Patterns = Annotated[list[_Text], Field(max_length=1000)]


class BudgetBody(Body):
    """How much may be used. What isn't said stays; null: as much as one likes, or as the plan says."""

    day_tokens: int | None = Field(default=None, examples=[200_000])
    """Tokens in a day (UTC), all kinds together."""
    month_tokens: int | None = Field(default=None, examples=[3_000_000])
    """Tokens in a calendar month."""
    day_usd: float | None = Field(default=None, examples=[1.5], allow_inf_nan=False)
    """US dollars in a day, by the price table."""
    month_usd: float | None = Field(default=None, examples=[20], allow_inf_nan=False)
    """US dollars in a month."""


class ProviderBody(Body):
    """A provider of models, or any other API over HTTP."""

    kind: ProviderKind
    """`anthropic`, `openai` (or compatible), or `http` for anything else."""
    base_url: str = Field(max_length=2000, examples=["https://api.openai.com/v1"])
    """Where it is; private addresses only where `INNKEEPER_PRIVATE_HOSTS` names them."""
    keys: list[Annotated[str, Field(max_length=200)]] = Field(
        default=[], max_length=20, examples=[["${secret:OPENAI}"]]
    )
    """Its keys, as references into the vault; the next is tried where one is refused or used up."""
    models: _Patterns = Field(default=[], examples=[["gpt-*"]])
    """Patterns of the models that it serves."""
    inject: str = Field(default="bearer", max_length=100, examples=["header:X-Api-Key"])
    """Where the key goes at an `http` provider: `bearer`, `basic`, `header:NAME` or `query:NAME`."""
    paths: _Patterns = Field(default=[], examples=[["/v1/forecast*"]])
    """Patterns of the paths that may be called at an `http` provider; none: all."""
    methods: list[Annotated[str, Field(max_length=20)]] = Field(default=[], max_length=20, examples=[["GET"]])
    """The methods that may be used there; none: all."""


class McpServerBody(Body):
    """A server of tools over streamable HTTP; the broker speaks to it, the agent never does."""

    url: str = Field(max_length=2000, examples=["https://mcp.example.com/mcp"])
    headers: dict[_Text, Annotated[str, Field(max_length=4096)]] = Field(
        default={}, max_length=50, examples=[{"Authorization": "Bearer ${secret:GITHUB}"}]
    )
    """Sent with every request. Credentials are named: `${secret:NAME}`, `${integration:NAME}`."""
    allow: _Patterns = Field(default=["*"], examples=[["search_*"]])
    """Patterns of the tools that the agent may see and call."""
    deny: _Patterns = Field(default=[], examples=[["delete_*"]])
    """Patterns of those that it may not; they win."""
    keep_arguments: bool = False
    """Whether the audit trail keeps what tools are called with; else it keeps a hash of it."""


class EgressBody(Body):
    """The agent's way out to the net."""

    mode: EgressMode = EgressMode.OFF
    """`off` lets everything pass, `learn` too and writes down the names, `enforce` lets the listed names pass."""
    names: list[Annotated[str, Field(max_length=253)]] = Field(default=[], max_length=1000, examples=[["*.github.com"]])
    """Names that may be reached: `api.github.com`, or `*.example.com` for all that lies below."""


class UsesBody(Body):
    """What an agent may use. Each field that is given, but `budget`, replaces what was there as a whole."""

    plan: str | None = Field(default=None, max_length=60, examples=["gold"])
    """One of the settings' `plans`; what isn't said here is as it says."""
    budget: BudgetBody | None = None
    """How much may be spent on models."""
    calls_per_minute: int | None = Field(default=None, examples=[60])
    """How often the broker may be called in a minute."""
    models: _Patterns = Field(default=[], examples=[["claude-*"]])
    """Patterns of the models that may be asked for; none: all."""
    providers: dict[_Text, ProviderBody] = Field(default={}, max_length=100)
    """Providers of this tenant's own, beside the platform's."""
    mcp: dict[_Text, McpServerBody | _Text] = Field(default={}, max_length=100)
    """Servers of tools by name; a mere string names one of the settings' `mcp_servers`."""
    egress: EgressBody | None = None
    """Which names on the net it may reach."""
