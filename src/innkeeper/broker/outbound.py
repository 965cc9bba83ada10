"""The way out: connections to where providers and tools answer, and to nothing inside.

A URL that a tenant may set, or a name whose owner may point it anywhere, must not become a way into the operator's
own networks. So each connection's name is resolved once, every address is judged, and the connection goes to a judged
address: a name that says something else a moment later (DNS rebinding) gains nothing. The certificate is still checked
against the name.
"""

from __future__ import annotations

from collections.abc import Iterable
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx2

from innkeeper.broker.guard import Guard, Resolve, addresses_of
from innkeeper.broker.transport import AiohttpTransport

PATIENT = httpx2.Timeout(connect=10.0, read=300.0, write=60.0, pool=10.0)
"""For models: they may think for minutes before they say anything."""


def outbound_client(
    private_hosts: Iterable[str] = (), *, timeout: httpx2.Timeout = PATIENT, resolve: Resolve | None = None
) -> httpx2.AsyncClient:
    """A client for calls to the outside, which keeps no memory of earlier calls.

    `private_hosts` names, as `HOST` or `HOST:PORT`, whom it may reach wherever they are. Everybody else must be on the
    public internet; DestinationRefused is raised otherwise, and ever for a cloud's metadata. It follows no redirect
    unless a request asks for it, and then each is judged as the first was; a caller that asks must take care of its
    own credentials, for only `Authorization` is dropped on the way to another host. A proxy that the environment
    names isn't used: names would be resolved there, and nothing judged.
    """
    transport = AiohttpTransport(Guard(private_hosts, resolve or addresses_of))
    # No cookies: what a provider sets for one tenant's call must not ride along with another's.
    cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    return httpx2.AsyncClient(
        timeout=timeout, transport=transport, follow_redirects=False, cookies=cookies, trust_env=False
    )
