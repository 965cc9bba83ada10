"""Which addresses the broker may connect to: those of the public internet, by the registries of special ones.

Sources: IANA's special-purpose address registries for IPv4 and IPv6 (RFC 6890 and its successors), the IPv6 address
space registry (only 2000::/3 is given out), and the clouds' manuals for where their metadata answers. Kept here and
not left to `ipaddress.is_global`, whose answers differ between Python's versions.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

_SPECIAL_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this host
            "10.0.0.0/8",
            "100.64.0.0/10",  # carriers' NAT
            "127.0.0.0/8",
            "169.254.0.0/16",  # link-local
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/3",  # multicast, reserved, broadcast
        ),
    )
)
_GIVEN_OUT_V6 = IPv6Network("2000::/3")
_SPECIAL_V6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments, Teredo among them
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4
            "3fff::/20",  # documentation
        ),
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
_MAPPED, _COMPATIBLE, _6TO4 = IPv6Network("::ffff:0:0/96"), IPv6Network("::/96"), IPv6Network("2002::/16")

_METADATA = frozenset(
    map(
        ip_address,
        (
            "169.254.169.254",  # EC2, Google, Azure, OpenStack and others
            "169.254.170.2",  # ECS
            "169.254.170.23",  # EKS
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",  # Google
            "100.100.100.200",  # Alibaba
            "168.63.129.16",  # Azure's host
            "192.0.0.192",  # Oracle
        ),
    )
)


def is_public(address: Address) -> bool:
    """Whether anybody on the internet could have this address.

    A NAT64 address (RFC 6052) is as good as the IPv4 address in it, for hosts without IPv4 see all of it that way;
    every other mapping of IPv4 into IPv6 is refused as a whole.
    """
    if address in _METADATA:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SPECIAL_V4)
    if address in _NAT64:
        return is_public(_last_32_bits(address))
    return address in _GIVEN_OUT_V6 and not any(address in network for network in _SPECIAL_V6)


def is_metadata(address: Address) -> bool:
    """Whether a cloud's metadata service, which gives out credentials, answers there, however it is wrapped."""
    if isinstance(address, IPv6Address):
        address = IPv6Address(int(address))  # without its zone
        if address in _6TO4:
            return is_metadata(IPv4Address(int(address) >> 80 & 0xFFFFFFFF))
        if any(address in network for network in (_MAPPED, _COMPATIBLE, _NAT64, _NAT64_LOCAL)):
            return is_metadata(_last_32_bits(address))
    return address in _METADATA


def literal(host: str) -> Address | None:
    """The address that the host is already, if it isn't a name."""
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None


def _last_32_bits(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFFFFFF)
