"""The options of the broker: providers, tools, plans and prices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from innkeeper.core.errors import Problem
from innkeeper.core.plans import plans_from
from innkeeper.core.uses_reading import NAME, mcp_server_of, provider_of


class BrokerSettings(BaseSettings):
    """The settings' group "The broker"."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True)

    broker_port: int = Field(default=8701, ge=1, le=65535)
    """The broker's port on the gateway address of each tenants' network."""

    broker_provider: str | None = None
    """Which provider answers the tenants' model calls that don't ask for another: `anthropic`, `openai` (or anything
    compatible, by its base URL), one of `providers`, or the built-in `demo`. Unset: the first of these that has a key
    or an address of yours, else `demo`. Set to `anthropic`, `openai` or `demo`, the other two aren't used."""

    broker_model: str | None = None
    """The model that tenants are given. Unset: a sensible one of the provider's."""

    anthropic_api_key: SecretStr | None = Field(default=None, validation_alias="ANTHROPIC_API_KEY")
    """The key for Anthropic (environment `ANTHROPIC_API_KEY`, without our prefix). It never enters a container."""

    anthropic_base_url: str = "https://api.anthropic.com"
    """Where Anthropic's messages API is spoken."""

    openai_api_key: SecretStr | None = Field(default=None, validation_alias="OPENAI_API_KEY")
    """The key for OpenAI or a compatible server (environment `OPENAI_API_KEY`). It never enters a container."""

    openai_base_url: str = "https://api.openai.com/v1"
    """Where OpenAI's chat completions are spoken; set it to any compatible server's `/v1`."""

    providers: dict[str, dict[str, Any]] = {}
    """More providers, by name, for all tenants: `kind` (`anthropic`, `openai`, `http`), `base_url`, `keys` (references
    to the platform's secrets, tried in turn), `models` it serves, and for `http` `inject`, `paths` and `methods`. In
    TOML: `[providers.weather]`. A tenant's own are in its `uses.providers`."""

    mcp_servers: dict[str, dict[str, Any]] = {}
    """Servers of tools (MCP over streamable HTTP) that tenants may be given by name: `url`, `headers` with references
    to the platform's secrets, `allow` and `deny`. In TOML: `[mcp_servers.github]`."""

    private_hosts: list[str] = []
    """Hosts in private ranges that the broker may connect to all the same, as `HOST` or `HOST:PORT`: model servers and
    tools of your own. A base URL in these settings that says `localhost` or a private address as it stands counts as
    named. Everything else that resolves to a private, loopback or link-local address is refused."""

    prices: Path | None = None
    """The price table (TOML) by which calls are charged to budgets in money. Unset: the one that comes with this
    version, whose `source` and `date` it names; copy it to edit it."""

    plans: dict[str, dict[str, Any]] = {}
    """What tenants may use, by the name of a plan that `uses.plan` of a tenant says: `budget` (`day_tokens`,
    `month_tokens`, `day_usd`, `month_usd`), `calls_per_minute` and `models`. What a tenant says itself counts instead;
    `packs` come beside the tenant's own. In TOML: `[plans.gold]`. A plan that is taken away stops the calls of those
    who are on it."""

    usage_kept_days: int = Field(default=400, ge=62)
    """How many days it is kept what calls used. 400 is a year and the month after; budgets need the last two months."""

    @field_validator("plans")
    @classmethod
    def _whole_plans(cls, said: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        try:
            plans_from(said)
        except Problem as problem:
            raise ValueError(f"{problem.field}: {problem.message} {problem.hint}".strip()) from None
        return said

    @field_validator("providers")
    @classmethod
    def _whole_providers(cls, said: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, each in said.items():
            _check(provider_of, each, f"providers.{name}")
        return said

    @field_validator("mcp_servers")
    @classmethod
    def _whole_servers(cls, said: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, each in said.items():
            if not NAME.fullmatch(name):
                raise ValueError(f"mcp_servers.{name[:60]}: a name that tenants can say is of a-z, 0-9 and '-'")
            _check(mcp_server_of, each, f"mcp_servers.{name}")
        return said


def _check(read: Callable[[Mapping[str, Any], str], object], said: Mapping[str, Any], field: str) -> None:
    try:
        read(said, field)
    except Problem as problem:
        raise ValueError(f"{problem.field}: {problem.message} {problem.hint}".strip()) from None
    except KeyError as error:
        raise ValueError(f"{field} lacks {error}") from None
