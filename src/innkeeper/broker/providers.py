"""Providers as they are configured, for all tenants or for one, ready to be called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httpx2

from innkeeper.broker.anthropic import Anthropic
from innkeeper.broker.callers import Caller
from innkeeper.broker.http_upstream import HttpUpstream
from innkeeper.broker.keys import Keychain, Lookup, Rests
from innkeeper.broker.openai import OpenAI
from innkeeper.broker.patterns import plain
from innkeeper.broker.upstream import Upstream
from innkeeper.core.tenant import Tenant
from innkeeper.core.uses import ProviderKind, ProviderSpec


@dataclass(frozen=True, kw_only=True)
class Providers:
    """Makes providers: the platform's and the tenants' own differ in their keys, and in where they may lead."""

    client: httpx2.AsyncClient
    """For the platform's, whose addresses the operator wrote."""
    tenants_client: httpx2.AsyncClient
    """For the tenants' own."""
    lookup: Lookup
    rests: Rests

    def upstream(self, name: str, spec: ProviderSpec, tenant: Tenant | None) -> HttpUpstream:
        """A provider of models; of the tenant's own or, with None, the platform's."""
        kind = Anthropic if spec.kind is ProviderKind.ANTHROPIC else OpenAI
        named = plain(spec.models)
        return HttpUpstream(
            kind(base_url=spec.base_url, name=name),
            client=self.tenants_client if tenant else self.client,
            keys=self.keychain(name, spec, tenant),
            default=named[0] if named else None,
            patterns=spec.models,
        )

    def keychain(self, name: str, spec: ProviderSpec, tenant: Tenant | None) -> Keychain:
        """The keys of that provider."""
        return Keychain(spec.keys, lookup=self.lookup, rests=self.rests, provider=name, tenant=tenant)

    def own_upstreams(self, caller: Caller) -> Mapping[str, Upstream]:
        """The caller's own providers of models. Made for each call, which costs nothing: what lasts isn't in them."""
        return {
            name: self.upstream(name, spec, caller.record)
            for name, spec in caller.uses.providers.items()
            if spec.kind is not ProviderKind.HTTP
        }
