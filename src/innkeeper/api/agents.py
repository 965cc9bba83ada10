"""/v1/agents: the kinds of program that a tenant can run."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field

from innkeeper.api.admission import needs
from innkeeper.api.deps import TheInn
from innkeeper.api.schema import Document, ItemsOf, LimitsDocument
from innkeeper.core.access import Action

router = APIRouter(prefix="/agents", tags=["releases"])


class AgentDocument(Document):
    """A kind of agent."""

    name: str = Field(examples=["openclaw"])
    title: str
    limits: LimitsDocument
    """What a tenant gets when nothing else is said."""
    floor_mb: int
    """The least memory it can live with."""
    minimum_version: str | None
    """Older releases are refused, for they aren't safe to host."""
    releases: list[str]
    """The versions that can be run here, the newest first."""


class AgentPage(ItemsOf[AgentDocument]):
    """All agents."""


@router.get("", summary="List agents")
@needs(Action.HOUSE)
async def index(inn: TheInn) -> AgentPage:
    """All agents that this control plane knows how to run."""
    recorded = await inn.releases.all()
    documents = [
        AgentDocument(
            name=agent.name,
            title=agent.title,
            limits=LimitsDocument(**vars(agent.limits)),
            floor_mb=agent.floor_mb,
            minimum_version=agent.minimum_version,
            releases=[release.version for release in recorded if release.agent == name],
        )
        for name, agent in sorted(inn.control.agents.items())
    ]
    return AgentPage(items=documents)
