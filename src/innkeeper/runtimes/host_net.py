"""What the host's own network looks like: routes, addresses, resolvers. Read from files, no program needed."""

from __future__ import annotations

import re
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
        found = _nameservers(self.etc / "resolv.conf")
        if found == [IPv4Address("127.0.0.53")]:
            found = _nameservers(self.run / "systemd/resolve/resolv.conf")
        return [address for address in found if not address.is_loopback]

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


def _nameservers(path: Path) -> list[IPv4Address]:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            try:
                address = ip_address(words[1])
            except ValueError:
                continue
            if isinstance(address, IPv4Address):
                found.append(address)
    return found


def _little_endian(text: str) -> int:
    return int.from_bytes(bytes.fromhex(text), "little")
