"""What the host's own network looks like: routes, addresses, resolvers. Read from files, no program needed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from pathlib import Path

_LOCAL = re.compile(r"\|-- (\d+\.\d+\.\d+\.\d+)\s+/32 host LOCAL")


@dataclass(frozen=True, kw_only=True)
class HostNet:
    """The files to read; other roots are for tests."""

    proc: Path = Path("/proc")
    etc: Path = Path("/etc")
    run: Path = Path("/run")

    def routes(self) -> list[IPv4Network]:
        """Every IPv4 destination in the main table but the default one."""
        found = []
        for line in (self.proc / "net/route").read_text().splitlines()[1:]:
            fields = line.split()
            network = IPv4Network((_little_endian(fields[1]), str(IPv4Address(_little_endian(fields[7])))))
            if network.prefixlen:
                found.append(network)
        return found

    def addresses(self) -> list[IPv4Address]:
        """The host's own IPv4 addresses, without loopback."""
        found = {IPv4Address(text) for text in _LOCAL.findall((self.proc / "net/fib_trie").read_text())}
        return sorted(address for address in found if not address.is_loopback)

    def resolvers(self) -> list[IPv4Address]:
        """The name servers that Docker hands on: those of resolv.conf, or those behind systemd's stub."""
        found = _ipv4(_nameservers(self.etc / "resolv.conf"))
        if found == [IPv4Address("127.0.0.53")]:
            found = _ipv4(_nameservers(self.run / "systemd/resolve/resolv.conf"))
        return [address for address in found if not address.is_loopback]

    def name_servers(self) -> list[IPv4Address | IPv6Address]:
        """Whom the host itself asks: loopback and IPv6 will do for that."""
        return _nameservers(self.etc / "resolv.conf")

    def asks_loopback(self) -> bool:
        """Whether Docker's resolver asks a server on the host's loopback, which it does from the host's own network
        (libnetwork's pull request 1595) and not from the container's."""
        found = self.name_servers()
        if found == [IPv4Address("127.0.0.53")]:
            found = _nameservers(self.run / "systemd/resolve/resolv.conf")
        return any(address.is_loopback for address in found)

    def link_local(self, device: str) -> str | None:
        """A device's link-local IPv6 address, where it has one."""
        try:
            lines = (self.proc / "net/if_inet6").read_text().splitlines()
        except OSError:
            return None
        found = (line.split()[0] for line in lines if line.split()[-1] == device and line.startswith("fe80"))
        digits = next(found, None)
        return str(IPv6Address(int(digits, 16))) if digits else None

    def has_ipv6(self) -> bool:
        """Whether the kernel speaks IPv6 at all."""
        return (self.proc / "sys/net/ipv6").exists()


def _ipv4(addresses: Iterable[IPv4Address | IPv6Address]) -> list[IPv4Address]:
    return [address for address in addresses if isinstance(address, IPv4Address)]


def _nameservers(path: Path) -> list[IPv4Address | IPv6Address]:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            with suppress(ValueError):
                found.append(ip_address(words[1]))
    return found


def _little_endian(text: str) -> int:
    return int.from_bytes(bytes.fromhex(text), "little")
