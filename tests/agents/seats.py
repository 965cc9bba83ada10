"""Seats and specs for the agents' tests."""

from __future__ import annotations

from innkeeper.core.ports import Agent, Seat
from innkeeper.core.tenant import Access, CustomAgent, Spec
from innkeeper.core.uses import NO_USES, Uses

GATEWAY_TOKEN = "gw_0123456789abcdef0123456789abcdef"
BROKER_TOKEN = "ik_b_0123456789abcdef0123456789"


def spec_for(
    agent: Agent, *, custom: CustomAgent | None = None, access: Access = Access.KEY, uses: Uses = NO_USES
) -> Spec:
    """A spec with the agent's own defaults."""
    limits = agent.limits
    return Spec(agent=agent.name, release="1", image="sha256:0", limits=limits, custom=custom, access=access, uses=uses)


def seat_for(
    agent: Agent,
    *,
    broker_url: str = "http://10.9.0.1:8701",
    edge_address: str = "10.9.0.1",
    origins: tuple[str, ...] = ("http://alice.localhost:8080", "https://bot.example.com"),
    model: str = "demo",
    gateway_token: str = GATEWAY_TOKEN,
    access: Access = Access.KEY,
    uses: Uses = NO_USES,
) -> Seat:
    """A seat for a tenant called alice."""
    return Seat(
        tenant="alice",
        spec=spec_for(agent, access=access, uses=uses),
        origins=origins,
        broker_url=broker_url,
        broker_token=BROKER_TOKEN,
        model=model,
        gateway_token=gateway_token,
        edge_address=edge_address,
    )
