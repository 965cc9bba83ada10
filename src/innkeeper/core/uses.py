"""What an agent may use, and how much: models, tools, names on the net, and a budget for what costs money.

Nothing of it is a credential. Where one is needed, it is named: `${secret:NAME}` stands for a secret of the vault, and
the broker looks it up on the way out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much may be used in a day and in a month, both by the calendar in UTC; None: as much as one likes."""

    day_tokens: int | None = None
    month_tokens: int | None = None
    day_usd: float | None = None
    month_usd: float | None = None


class ProviderKind(StrEnum):
    """Which protocol a provider speaks."""

    ANTHROPIC = "anthropic"  # the messages API
    OPENAI = "openai"  # chat completions, and whoever is compatible
    HTTP = "http"  # anything else over HTTP: passed through with a credential put on


@dataclass(frozen=True, kw_only=True)
class ProviderSpec:
    """A provider as it is configured, for all tenants or for one."""

    kind: ProviderKind
    base_url: str
    keys: tuple[str, ...] = ()
    """`${secret:NAME}`, tried in their order; none: the provider wants no key. The platform's may be `${env:NAME}`, a
    tenant's `${integration:NAME}`."""
    models: tuple[str, ...] = ()
    """Patterns of the models it serves, `claude-*`; the first without a `*` is what `default` means there."""
    inject: str = "bearer"
    """How an `http` provider wants its key: `bearer`, `header:NAME`, `query:NAME`, or `basic` (the key is USER:PASSWORD
    then)."""
    paths: tuple[str, ...] = ()
    """Patterns of the paths below the base URL that may be called at an `http` provider; none: all."""
    methods: tuple[str, ...] = ()
    """The methods that may be used there; none: all."""


@dataclass(frozen=True, kw_only=True)
class McpServer:
    """A server of tools, reached over streamable HTTP by the broker and never by the agent."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    """Set on every request; `${secret:NAME}` and `${integration:NAME}` in a value are put in on the way."""
    allow: tuple[str, ...] = ("*",)
    """Patterns of the tools, by the server's own names, that the agent may see and call."""
    deny: tuple[str, ...] = ()
    """Patterns of those that it may not; they win."""
    keep_arguments: bool = False
    """Whether the trail holds what a tool was called with, instead of a hash of it."""


class EgressMode(StrEnum):
    """Which names on the net an agent may reach."""

    OFF = "off"  # all of them
    LEARN = "learn"  # all of them, and what it asks for is written down
    ENFORCE = "enforce"  # those on its list


@dataclass(frozen=True, kw_only=True)
class Egress:
    """The way out to the net."""

    mode: EgressMode = EgressMode.OFF
    names: tuple[str, ...] = ()
    """`api.github.com`, or `*.example.com` for all that lies below."""


@dataclass(frozen=True, kw_only=True)
class Uses:
    """What one tenant's agent may use."""

    plan: str | None = None
    """One of the settings' `plans`: what isn't said here is taken from there."""
    budget: Budget = field(default_factory=Budget)
    calls_per_minute: int | None = None
    models: tuple[str, ...] = ()
    """Patterns of the models that it may ask for; none: all that its providers serve."""
    providers: Mapping[str, ProviderSpec] = field(default_factory=dict)
    """Providers of its own, beside the platform's; of one name, its own wins. Their secrets are the tenant's."""
    mcp: Mapping[str, McpServer | str] = field(default_factory=dict)
    """Its servers of tools by name; a mere string names one of the settings' `mcp_servers`."""
    egress: Egress = field(default_factory=Egress)


NO_USES = Uses()
