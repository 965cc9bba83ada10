"""All tools of all tenants: joins a tenant's servers, and calls for its agent what its agent may call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import mcp_types as types
from mcp.shared.dispatcher import ProgressFnT

from innkeeper.broker.mcp.catalogue import Offer, Shelf, joined
from innkeeper.broker.mcp.line import Connect
from innkeeper.broker.mcp.names import BETWEEN
from innkeeper.broker.mcp.problems import ToolServerTimeout, ToolServerUnknown, UnknownTool
from innkeeper.broker.mcp.servers import Server, servers_of
from innkeeper.broker.mcp.source import Source
from innkeeper.core.errors import Problem
from innkeeper.core.tenant import Tenant
from innkeeper.core.tool_trail import ToolTrail
from innkeeper.core.tools import Outcome, ServerSeen, ToolSeen
from innkeeper.core.uses import McpServer

LOOK_AGAIN_S = 5.0
"""A tool that isn't known is looked for anew where the list is older than that."""


class Toolbox:
    """Knows each tenant's servers, and remembers what they said."""

    def __init__(self, *, house: Mapping[str, McpServer], connect: Connect, trail: ToolTrail) -> None:
        self._house = house
        self._connect = connect
        self._trail = trail
        self._sources: dict[str, dict[str, Source]] = {}

    async def offers(self, tenant: Tenant) -> Mapping[str, Offer]:
        """What the agent may see and call, by name; servers that don't answer are left out."""
        sources, _ = self._of(tenant)
        shelves = await asyncio.gather(*map(_shelf_or_why, sources.values()))
        return joined(shelf for shelf in shelves if isinstance(shelf, Shelf))

    async def call(
        self, tenant: Tenant, name: str, arguments: Mapping[str, Any], progress: ProgressFnT | None = None
    ) -> types.CallToolResult:
        """Call a tool by the agent's name for it; whatever comes of it is noted. Raises the Problem that there was."""
        self._trail.check()
        began, since = self._trail.now(), time.monotonic()
        offer: Offer | None = None
        outcome, code = Outcome.ABANDONED, None
        try:
            source, offer = await self._find(tenant, name)
            result = await source.call(offer.tool.name, arguments, progress)
            outcome = Outcome.ERROR if result.is_error else Outcome.OK
        except Problem as problem:
            outcome, code = _outcome(problem), problem.code
            raise
        except Exception:
            outcome = Outcome.FAILED
            raise
        finally:
            self._note(tenant, offer, name, arguments, began, time.monotonic() - since, outcome, code)
        return result

    async def seen(self, tenant: Tenant) -> Sequence[ServerSeen]:
        """The tenant's servers with their tools, and what is wrong with them."""
        sources, unknown = self._of(tenant)
        shelves = await asyncio.gather(*map(_shelf_or_why, sources.values()))
        told = [_seen(source, shelf) for source, shelf in zip(sources.values(), shelves, strict=True)]
        return [
            *told,
            *(ServerSeen(name=name, error=problem.message, code=problem.code) for name, problem in unknown),
        ]

    def forget(self, tenant_id: str) -> None:
        """A tenant is no more."""
        for source in self._sources.pop(tenant_id, {}).values():
            source.close()

    async def close(self) -> None:
        """Cut all connections off."""
        sources = [source for each in self._sources.values() for source in each.values()]
        await asyncio.gather(*(source.end() for source in sources), return_exceptions=True)

    async def _find(self, tenant: Tenant, name: str) -> tuple[Source, Offer]:
        """The tool, from what is known already if it can be; why its server's tools are missing, if they are."""
        source = self._of(tenant)[0].get(name.partition(BETWEEN)[0])
        if source is not None:
            for max_age_s in (float("inf"), LOOK_AGAIN_S):
                for offer in (await source.shelf(max_age_s=max_age_s)).offers:
                    if offer.name == name:
                        return source, offer
        raise UnknownTool(f"There is no tool {name[:80]!r}.")

    def _note(
        self,
        tenant: Tenant,
        offer: Offer | None,
        name: str,
        arguments: Mapping[str, Any],
        began: datetime,
        seconds: float,
        outcome: Outcome,
        code: str | None,
    ) -> None:
        self._trail.note(
            tenant,
            began=began,
            seconds=seconds,
            outcome=outcome,
            server=None if offer is None else offer.server.name,
            tool=name if offer is None else offer.tool.name,
            arguments=arguments,
            keep_arguments=offer is not None and offer.server.spec.keep_arguments,
            code=code,
        )

    def _of(self, tenant: Tenant) -> tuple[Mapping[str, Source], Sequence[tuple[str, ToolServerUnknown]]]:
        """The sources as the spec has them now; those that it has no more, or has otherwise, are let go."""
        known = self._sources.get(tenant.id, {})
        wanted: dict[str, Source] = {}
        unknown = []
        for found in servers_of(tenant, self._house):
            if not isinstance(found, Server):
                unknown.append(found)
                continue
            source = known.get(found.name)
            if source is None or not source.server.same_place(found):
                source = Source(found, self._connect)
            source.server = found
            wanted[found.name] = source
        for name, source in known.items():
            if wanted.get(name) is not source:
                source.close()
        with suppress(KeyError):
            del self._sources[tenant.id]
        if wanted:
            self._sources[tenant.id] = wanted
        return wanted, unknown


async def _shelf_or_why(source: Source) -> Shelf | Problem:
    try:
        return await source.shelf()
    except Problem as problem:
        return problem


def _outcome(problem: Problem) -> Outcome:
    match problem:
        case UnknownTool():
            return Outcome.REFUSED
        case ToolServerTimeout():
            return Outcome.TIMEOUT
        case _:
            return Outcome.FAILED


def _seen(source: Source, shelf: Shelf | Problem) -> ServerSeen:
    server, failed = source.server, shelf if isinstance(shelf, Problem) else None
    last_at, last = source.last_error or (None, None)
    return ServerSeen(
        name=server.name,
        url=server.spec.url.partition("?")[0],
        house=server.house,
        tools=_tools(shelf) if isinstance(shelf, Shelf) else (),
        whole=not isinstance(shelf, Shelf) or shelf.whole,
        error=failed.message if failed else None,
        code=failed.code if failed else None,
        last_error=last.message if last else None,
        last_error_at=last_at,
    )


def _tools(shelf: Shelf) -> Sequence[ToolSeen]:
    return [
        *(
            ToolSeen(tool=each.tool.name, name=each.name, description=each.tool.description or "")
            for each in shelf.offers
        ),
        *(ToolSeen(tool=each, name=None, allowed=False) for each in shelf.denied),
        *(ToolSeen(tool=each, name=None, says=why) for each, why in shelf.left_out.items()),
    ]
