"""The options of integrations: the services that tenants' owners can connect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from innkeeper.core.errors import Problem
from innkeeper.core.integration import Integration
from innkeeper.core.integration_reading import integration_of


class IntegrationSettings(BaseSettings):
    """The settings' group "Integrations"."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True, hide_input_in_errors=True)

    integrations: dict[str, dict[str, Any]] = {}
    """Services that a tenant's owner can connect by OAuth 2, by name: `authorize_url`, `token_url` and `client_id`;
    where the service has them `client_secret` (a reference: `${secret:NAME}` of the platform's vault or `${env:NAME}`)
    with `client_auth` (`basic`, `post`, or `none` for a public client), `scopes`, `revoke_url`, `issuer`; and `title`,
    what people call it, and `parameters`, more for the authorization page. In TOML: `[integrations.google]`."""

    @field_validator("integrations")
    @classmethod
    def _whole_integrations(cls, said: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, each in said.items():
            try:
                integration_of(name, each)
            except Problem as problem:
                raise ValueError(f"{problem.field}: {problem.message} {problem.hint}".strip()) from None
        return said

    @property
    def integrations_by_name(self) -> Mapping[str, Integration]:
        """The same, read."""
        return {name: integration_of(name, each) for name, each in self.integrations.items()}
