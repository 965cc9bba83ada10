"""All tools of a tenant's servers under the names that its agent knows them by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import mcp_types as types

from innkeeper.broker.mcp.line import Listed
from innkeeper.broker.mcp.names import exposed
from innkeeper.broker.mcp.servers import Server

OFFERED_MAX = 256
"""Tools of one server that are offered; models choose badly among far fewer."""
OFFERED_BYTES = 1024 * 1024
"""Of one server's tools, with their schemas: every token of them is paid for in every call of the model."""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A tool that the agent may see and call."""

    name: str
    server: Server
    tool: types.Tool

    def shown(self) -> types.Tool:
        """As the agent is told of it."""
        return self.tool.model_copy(update={"name": self.name})


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """What one server has for the agent."""

    offers: tuple[Offer, ...] = ()
    denied: tuple[str, ...] = ()
    """Tools that the patterns keep back."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Tools that can't be offered, and why."""
    whole: bool = True
    """Whether everything that the server has was read."""


def shelf_of(server: Server, listed: Listed) -> Shelf:
    """Sort a server's tools; the first of those that come by one name is the one."""
    offers: dict[str, Offer] = {}
    denied, left_out = [], dict[str, str]()
    seen: set[str] = set()
    size = 0
    # Names that stay as they are come first: nothing that was made into one may take their place.
    for tool in sorted(listed.tools, key=lambda tool: exposed(server.name, tool.name) != _plain(server, tool)):
        if tool.name in seen:
            left_out[tool.name] = "there are two of this name: only the first is offered"
            continue
        seen.add(tool.name)
        if not server.allows(tool.name):
            denied.append(tool.name)
            continue
        name = exposed(server.name, tool.name)
        size += len(tool.model_dump_json())
        if name in offers:
            left_out[tool.name] = f"its name would be {name}, as that of {offers[name].tool.name!r}"
        elif len(offers) >= OFFERED_MAX or size > OFFERED_BYTES:
            left_out[tool.name] = "the server has too many tools: keep some back with `allow` or `deny`"
        else:
            offers[name] = Offer(name=name, server=server, tool=tool)
    return Shelf(offers=tuple(offers.values()), denied=tuple(denied), left_out=left_out, whole=listed.whole)


def joined(shelves: Iterable[Shelf]) -> dict[str, Offer]:
    """Every offer by its name; no two servers' names are ever equal."""
    return {offer.name: offer for shelf in shelves for offer in shelf.offers}


def _plain(server: Server, tool: types.Tool) -> str:
    return f"{server.name}__{tool.name}"
