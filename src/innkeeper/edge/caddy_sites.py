"""The public's part of Caddy's configuration: on which ports, by which protocols, with which certificates."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from string import Template
from typing import TYPE_CHECKING

from innkeeper.edge.tls import Way

if TYPE_CHECKING:
    from innkeeper.edge.caddy_config import EdgePlan


def ports(plan: EdgePlan) -> Iterator[str]:
    """Global options: where Caddy's own machinery for certificates listens."""
    if plan.tls is None:
        yield "auto_https off"
        return
    yield from (f"http_port {plan.port}", f"https_port {plan.tls.port}")
    yield from plan.tls.global_lines()


def servers(plan: EdgePlan) -> str:
    """Which protocols are spoken: HTTP/2 and 3 where there is TLS."""
    if plan.tls is None:
        return _SERVERS.substitute(at="", protocols="h1")
    at = ipaddress.ip_address(plan.host.strip("[]"))
    shown = f"[{at}]" if at.version == 6 else str(at)
    secure = _SERVERS.substitute(at=f"{shown}:{plan.tls.port} ", protocols="h1 h2 h3")
    return secure + "\n\t" + _SERVERS.substitute(at="", protocols="h1")


def sites(plan: EdgePlan) -> str:
    """The public's ways in. Custom hostnames come to the same door as those of the domain: the gate knows which are
    whose."""
    if (tls := plan.tls) is None:
        return _PUBLIC.substitute(at=f"http://:{plan.port}", tls="")
    parts = [(f"https://:{tls.port}", tls.lines())]
    if tls.way is Way.DNS:
        parts.insert(0, (f"https://{plan.wildcard}:{tls.port}", tls.lines(wildcard=True)))
    hsts = [f'header >Strict-Transport-Security "max-age={tls.hsts_s}"'] if tls.hsts_s else []
    public = (_PUBLIC.substitute(at=at, tls="".join(f"\t{line}\n" for line in (*lines, *hsts))) for at, lines in parts)
    return "\n".join([*public, _REDIRECT.substitute(port=plan.port)])


_SERVERS = Template("""\
servers $at{
		protocols $protocols
		max_header_size 64KB
		timeouts {
			read_header 15s
			idle 5m
		}
	}""")

_PUBLIC = Template("""\
$at {
$tls	import console
	import tenants
}
""")

_REDIRECT = Template("""\
http://:$port {
	import redirects
}
""")
