"""How the edge comes by certificates, as lines of Caddy's configuration."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from innkeeper.edge.quoted import quoted


class Way(StrEnum):
    """Where certificates come from."""

    AUTHORITY = "auto"  # an ACME authority, for each host at its first request
    DNS = "dns"  # the same, and one wildcard for the domain by a DNS challenge
    INTERNAL = "internal"  # Caddy's own authority
    FILES = "files"  # the operator


@dataclass(frozen=True, kw_only=True)
class Tls:
    """What the certificates' part of the configuration is made from."""

    way: Way
    port: int = 443
    """For HTTPS, over TCP and UDP."""
    ask: str = ""
    """The URL that Caddy asks, with `?domain=HOST`, whether a host may have a certificate."""
    hsts_s: int = 0
    directory: str | None = None
    """The ACME directory; None: Caddy's own choice."""
    root: Path | None = None
    """What that directory's own HTTPS is checked against; None: the system's roots."""
    email: str | None = None
    dns: str = ""
    """What follows `dns` in a Caddyfile."""
    cert: Path | None = None
    key: Path | None = None

    @property
    def dns_module(self) -> str | None:
        """The module that Caddy needs for the DNS challenge."""
        return f"dns.providers.{self.dns.split()[0]}" if self.way is Way.DNS else None

    @property
    def variables(self) -> frozenset[str]:
        """The environment variables that Caddy reads the DNS provider's secrets from."""
        return frozenset(re.findall(r"\{env\.(\w+)\}", self.dns))

    def global_lines(self) -> Sequence[str]:
        """For Caddy's global options."""
        lines = ["auto_https disable_redirects", "skip_install_trust"]
        if self.way is not Way.FILES:
            lines += ["on_demand_tls {", f"\task {quoted(self.ask)}", "}"]
        if self.email is not None:
            lines.append(f"email {quoted(self.email)}")
        return lines

    def lines(self, *, wildcard: bool = False) -> Sequence[str]:
        """For a site of any hosts, or for the domain's wildcard."""
        match self.way:
            case Way.FILES:
                return [f"tls {quoted(self.cert)} {quoted(self.key)}"]
            case Way.INTERNAL:
                return ["tls {", "\tissuer internal", "\ton_demand", "}"]
            case Way.AUTHORITY | Way.DNS:
                first = f"\tdns {self.dns}" if wildcard else "\ton_demand"
                return ["tls {", first, *(f"\t{line}" for line in self._authority()), "}"]

    def _authority(self) -> Sequence[str]:
        lines = []
        if self.directory is not None:
            lines.append(f"ca {quoted(self.directory)}")
        if self.root is not None:
            lines.append(f"ca_root {quoted(self.root)}")
        return lines
