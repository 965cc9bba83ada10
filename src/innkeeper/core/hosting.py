"""Which hosts a tenant answers at, and as which URL."""

from __future__ import annotations

from dataclasses import dataclass

from innkeeper.core.tenant import Tenant

CONSOLE = "console"
"""The label under the domain at which the console answers; no tenant can have it as its name."""


@dataclass(frozen=True, kw_only=True)
class Hosting:
    """The edge as the public sees it."""

    domain: str
    port: int
    scheme: str = "http"

    def host(self, name: str) -> str:
        """The canonical host of the tenant of that name."""
        return f"{name}.{self.domain}"

    def is_under(self, host: str) -> bool:
        """Whether the host is one of the domain's own."""
        return host.endswith(f".{self.domain}")

    @property
    def console_host(self) -> str:
        """The console's host."""
        return f"{CONSOLE}.{self.domain}"

    @property
    def console_origin(self) -> str:
        """`https://console.example.com`: where people sign in."""
        return self.origin(self.console_host)

    def origin(self, host: str) -> str:
        """`http://alice.localhost:8080`: without the port where it is the scheme's own."""
        usual = {"http": 80, "https": 443}[self.scheme]
        return f"{self.scheme}://{host}" + ("" if self.port == usual else f":{self.port}")

    def origins(self, tenant: Tenant) -> tuple[str, ...]:
        """Every origin of the tenant, the canonical one first."""
        return tuple(self.origin(host) for host in (self.host(tenant.name), *tenant.spec.hostnames))

    def url(self, tenant: Tenant) -> str:
        """Where a person goes."""
        return self.origin(self.host(tenant.name)) + "/"
