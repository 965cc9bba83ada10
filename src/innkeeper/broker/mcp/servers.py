"""Which servers of tools a tenant has, and which of their tools it may use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from innkeeper.broker.mcp.problems import ToolServerUnknown
from innkeeper.broker.patterns import matches
from innkeeper.core.tenant import Tenant
from innkeeper.core.uses import McpServer


@dataclass(frozen=True, kw_only=True)
class Server:
    """One server of one tenant; never shared, whatever it is called elsewhere."""

    name: str
    """What the tenant's spec calls it."""
    tenant: Tenant
    spec: McpServer
    house: bool
    """Whether it stands in the settings: its secrets are the platform's then."""

    def allows(self, tool: str) -> bool:
        """Whether the agent may see and call the tool of that name of the server's own."""
        return matches(self.spec.allow, tool) and not matches(self.spec.deny, tool)

    def same_place(self, other: Server) -> bool:
        """Whether a connection to the one serves the other."""
        return (self.spec.url, self.spec.headers, self.house, self.tenant.id) == (
            other.spec.url, other.spec.headers, other.house, other.tenant.id,
        )  # fmt: skip


def servers_of(tenant: Tenant, house: Mapping[str, McpServer]) -> Iterator[Server | tuple[str, ToolServerUnknown]]:
    """The tenant's servers; a name that the settings don't know is told with its problem."""
    for name, said in tenant.spec.uses.mcp.items():
        if not isinstance(said, str):
            yield Server(name=name, tenant=tenant, spec=said, house=False)
        elif said in house:
            yield Server(name=name, tenant=tenant, spec=house[said], house=True)
        else:
            yield name, ToolServerUnknown(f"The settings have no server of tools called {said[:60]!r}.")
