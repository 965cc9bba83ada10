"""Giving a tenant its seat: its folder with configs and compose file, and the blueprint of its instance."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from innkeeper.core.errors import UnknownAgent
from innkeeper.core.hosting import Hosting
from innkeeper.core.openings import InboxPath
from innkeeper.core.ports import Agent, Blueprint, ConfigSecrets, DataKeys, Entrance, Runtime, Seat, Tokens, Units
from innkeeper.core.references import references, resolved
from innkeeper.core.tenant import Tenant


class Composer(Protocol):
    """From a blueprint and the agent's port to the unit's compose.yaml and .env."""

    def __call__(self, blueprint: Blueprint, *, port: int) -> tuple[str, str]: ...


class Seating:
    """Knows how a tenant, its agent, its place on the network and its tokens come together."""

    def __init__(
        self,
        *,
        agents: Mapping[str, Agent],
        runtime: Runtime,
        units: Units,
        tokens: Tokens,
        secrets: ConfigSecrets,
        keys: DataKeys,
        hosting: Hosting,
        compose: Composer,
        broker_port: int,
        model: str,
        furnish: Callable[[Tenant], Awaitable[None]] | None = None,
        check_unit: Callable[[Tenant], Awaitable[None]] | None = None,
    ) -> None:
        self._agents = agents
        self._runtime = runtime
        self._units = units
        self._tokens = tokens
        self._secrets = secrets
        self._keys = keys
        self._hosting = hosting
        self._compose = compose
        self._broker_port = broker_port
        self._model = model
        self._furnish = furnish
        self._check_unit = check_unit

    def agent(self, tenant: Tenant) -> Agent:
        """The tenant's adapter; UnknownAgent where this version of Innkeeper has none of that name any more."""
        agent = self._agents.get(tenant.spec.agent)
        if agent is None:
            raise UnknownAgent(f"This control plane knows no agent {tenant.spec.agent!r}.")
        return agent

    async def prepare(self, tenant: Tenant) -> None:
        """Make the tenant's folder whole and current; SecretMissing and SecretExpired name what its config lacks, and
        UnitMissing says that it should be there and isn't."""
        agent = self.agent(tenant)
        if self._check_unit is not None:
            await self._check_unit(tenant)
        await self._keys.ready(tenant.id)
        existing = await self._units.read(tenant.name, agent.config_paths())
        files = agent.render(await self._seat(tenant), existing)
        compose, env = await self.compose(tenant)
        await self._units.write(tenant.name, files, compose=compose, env=env, variables=tenant.spec.env)

    async def compose(self, tenant: Tenant, *, image: str | None = None) -> tuple[str, str]:
        """Its compose.yaml and .env, with the image by that name."""
        blueprint = await self.blueprint(tenant)
        named = blueprint if image is None else replace(blueprint, image=image)
        return self._compose(named, port=self.entrance(tenant).port)

    async def furnish(self, tenant: Tenant) -> None:
        """Put into its folder what its agent is to find at a start: core/hydration.py."""
        if self._furnish is not None:
            await self._furnish(tenant)

    async def listens_to(self, tenant: Tenant) -> Sequence[str]:
        """The channels on which its agent fetches messages itself, by the config that lies in its folder now."""
        agent = self.agent(tenant)
        return agent.listens_to(await self._units.read(tenant.name, agent.config_paths()))

    async def webhooks(self, tenant: Tenant) -> tuple[InboxPath, ...]:
        """Where its agent takes webhooks, by the same config."""
        agent = self.agent(tenant)
        return tuple(agent.webhooks(await self._units.read(tenant.name, agent.config_paths())))

    async def blueprint(self, tenant: Tenant) -> Blueprint:
        """What the runtime makes the instance from."""
        agent, spec = self.agent(tenant), tenant.spec
        return Blueprint(
            tenant=tenant.name,
            tenant_id=tenant.id,
            revision=tenant.revision,
            slot=tenant.slot,
            agent=spec.agent,
            release=spec.release,
            image=spec.image,
            limits=spec.limits,
            persistence=self._units.persistence(tenant.name),
            mount=agent.mount(spec),
            command=agent.command(spec),
            env={**spec.env, **agent.env(spec), **(agent.fence(spec) if tenant.fenced else {})},
            born_as=tenant.born_as,
        )

    def entrance(self, tenant: Tenant) -> Entrance:
        """How the edge gets in to the tenant's agent."""
        return self.agent(tenant).entrance(tenant.spec, self.gateway_token(tenant))

    def gateway_token(self, tenant: Tenant) -> str:
        """The agent's own credential, for those who speak to it on our behalf."""
        return self._tokens.gateway_token(tenant.id, tenant.token_epoch)

    async def _seat(self, tenant: Tenant) -> Seat:
        place = await self._runtime.place(tenant.slot)
        return Seat(
            tenant=tenant.name,
            spec=tenant.spec,
            origins=self._hosting.origins(tenant),
            broker_url=f"http://{place.gateway}:{self._broker_port}",
            broker_token=self._tokens.broker_token(tenant.id, tenant.token_epoch),
            model=self._model,
            gateway_token=self.gateway_token(tenant),
            edge_address=place.gateway,
            config=await self._config(tenant),
            fenced=tenant.fenced,
        )

    async def _config(self, tenant: Tenant) -> Mapping[str, Any]:
        """What the spec says of the agent's config, with the secrets that have to be inside."""
        config = tenant.spec.config
        names = references(config)
        return resolved(config, await self._secrets.reveal_all(names, tenant)) if names else config
