"""Names: which hosts are ours to serve, and whether a tenant's own hostname leads here.

A stranger's hostname costs nothing: only names that a tenant has are ever looked up, each at most once a minute.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from innkeeper.core.directory import Directory
from innkeeper.core.hosting import Hosting
from innkeeper.core.tenant import Tenant, Wanted

LOOKUP_S = 5.0
"""How long one lookup may take: a TLS handshake waits for it."""
KEPT_S = 60.0
"""How long its answer is good for."""
KEPT_AT_MOST = 4096

Addresses = frozenset[str]
Resolve = Callable[[str], Awaitable[Addresses]]
"""A host's addresses of both families, in their shortest form; none where there are none or nobody can tell."""


@dataclass(frozen=True, kw_only=True)
class Pointing:
    """Where a tenant's own hostname leads."""

    hostname: str
    points_here: bool | None
    """None: nobody looks (`hostnames_check` `off`)."""
    addresses: Sequence[str]
    expected: Sequence[str]
    says: str
    """What to do, or that all is well."""


class Names:
    """Answers for hosts, from the directory and from DNS."""

    def __init__(
        self,
        *,
        directory: Directory,
        hosting: Hosting,
        resolve: Resolve,
        public: Sequence[str] = (),
        check: bool = True,
        lookup_s: float = LOOKUP_S,
    ) -> None:
        self._directory = directory
        self._hosting = hosting
        self._resolve = resolve
        self._public = frozenset(public)
        self._check = check
        self._lookup_s = lookup_s
        self._kept: OrderedDict[str, tuple[float, Addresses]] = OrderedDict()
        self._under_way: dict[str, asyncio.Task[Addresses]] = {}

    def is_known(self, host: str) -> bool:
        """Whether anything answers at `host` (lower case, no port, no final dot): the console or a tenant."""
        return is_known(host, self._directory, self._hosting)

    async def may_have_certificate(self, host: str) -> bool:
        """Whether a certificate may be asked for: an authority that looks for the host must find us."""
        if not self.is_known(host):
            return False
        if self._hosting.is_under(host) or not self._check:
            return True
        return leads_here(await self._addresses(host), await self._expected())

    async def hostnames(self, tenant: Tenant) -> Sequence[Pointing]:
        """Where each of the tenant's own hostnames leads."""
        if not self._check:
            return [_unchecked(host) for host in tenant.spec.hostnames]
        expected = await self._expected()
        found = await asyncio.gather(*(self._addresses(host) for host in tenant.spec.hostnames))
        return [
            pointing(host, addresses, expected, self._hosting)
            for host, addresses in zip(tenant.spec.hostnames, found, strict=True)
        ]

    async def _expected(self) -> Addresses:
        if self._public:
            return self._public
        return await self._addresses(self._hosting.console_host) or await self._addresses(self._hosting.domain)

    async def _addresses(self, host: str) -> Addresses:
        """Looked up, or remembered; however many ask at once, one lookup is under way."""
        now = asyncio.get_running_loop().time()
        if (kept := self._kept.get(host)) is not None and now - kept[0] < KEPT_S:
            return kept[1]
        task = self._under_way.get(host)
        if task is None:
            task = self._under_way[host] = asyncio.create_task(self._look_up(host), name=f"lookup:{host}")
        return await asyncio.shield(task)

    async def _look_up(self, host: str) -> Addresses:
        try:
            async with asyncio.timeout(self._lookup_s):
                found = await self._resolve(host)
        except TimeoutError:
            found = frozenset()
        finally:
            del self._under_way[host]
        self._kept[host] = asyncio.get_running_loop().time(), found
        self._kept.move_to_end(host)
        while len(self._kept) > KEPT_AT_MOST:
            self._kept.popitem(last=False)
        return found


def is_known(host: str, directory: Directory, hosting: Hosting) -> bool:
    """Whether the console or a tenant that isn't leaving answers at `host`."""
    if host == hosting.console_host:
        return True
    tenant = directory.at_host(host)
    return tenant is not None and tenant.wanted is not Wanted.GONE


def leads_here(addresses: Addresses, expected: Addresses) -> bool:
    """Whether all of a name's addresses are ours: an authority, like a visitor, may take any of them."""
    return bool(addresses) and addresses <= expected


def pointing(host: str, addresses: Addresses, expected: Addresses, hosting: Hosting) -> Pointing:
    """The same in words."""
    here = leads_here(addresses, expected)
    return Pointing(
        hostname=host,
        points_here=here,
        addresses=_sorted(addresses),
        expected=_sorted(expected),
        says="It points here." if here else _advice(host, addresses, expected, hosting),
    )


def _advice(host: str, addresses: Addresses, expected: Addresses, hosting: Hosting) -> str:
    if not expected:
        return (
            f"{hosting.console_host} doesn't resolve, so it can't be told where this house is: make DNS records for "
            f"*.{hosting.domain}, or set INNKEEPER_PUBLIC_ADDRESSES."
        )
    ours = ", ".join(_sorted(expected))
    if not addresses:
        return f"{host} doesn't resolve: make it a CNAME of {hosting.console_host}, or point it to {ours}."
    strange = ", ".join(_sorted(addresses - expected))
    if addresses & expected:
        return f"{host} points here, but to {strange}, too: remove that, for an authority may look there."
    return f"{host} points to {strange}: make it a CNAME of {hosting.console_host}, or point it to {ours}."


def _unchecked(host: str) -> Pointing:
    return Pointing(
        hostname=host,
        points_here=None,
        addresses=(),
        expected=(),
        says="Not looked up, for INNKEEPER_HOSTNAMES_CHECK is `off`.",
    )


def _sorted(addresses: Addresses) -> Sequence[str]:
    return sorted(addresses, key=lambda each: (ip_address(each).version, int(ip_address(each))))
