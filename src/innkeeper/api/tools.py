"""/v1/tenants/{name}/tools: the tools that a tenant's agent has, and what is wrong with their servers."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from fastapi import APIRouter

from innkeeper.api.admission import needs
from innkeeper.api.deps import TheInn
from innkeeper.api.schema import Document, ItemsOf
from innkeeper.api.tenants import Name
from innkeeper.core.access import Action

router = APIRouter(prefix="/tenants/{name}/tools", tags=["tools"])


class ToolDocument(Document):
    """A tool as its server has it."""

    tool: str
    """The server's own name for it, by which it is allowed or denied."""
    name: str | None
    """What the agent calls it; null where it can't."""
    description: str
    allowed: bool
    """Whether `allow` and `deny` let the agent have it."""
    says: str | None
    """Why it isn't offered though it is allowed."""


class ToolServerDocument(Document):
    """A server of tools, as it was found within the last minute."""

    name: str
    url: str | None
    """Where it is, without what follows a `?`; null: the settings have no server of that name."""
    house: bool
    """Whether it stands in the settings; its secrets are the platform's then."""
    tools: list[ToolDocument]
    whole: bool
    """False: it has more tools than are read."""
    error: str | None
    """Why its tools are missing."""
    code: str | None
    """The error's code."""
    last_error: str | None
    """What went wrong last, with a listing or a call; since the control plane was started."""
    last_error_at: datetime | None


class ToolServerPage(ItemsOf[ToolServerDocument]):
    """A tenant's servers of tools."""


@router.get("", summary="List tools")
@needs(Action.LOOK)
async def index(name: Name, inn: TheInn) -> ToolServerPage:
    """The tenant's servers of tools and what they have, all on one page. Those of which nothing fresh is known are
    asked, with the tenant's credentials; that takes some seconds where one doesn't answer."""
    found = await inn.tools.seen(await inn.control.tenant(name))
    return ToolServerPage(items=[ToolServerDocument.model_validate(asdict(each)) for each in found])
