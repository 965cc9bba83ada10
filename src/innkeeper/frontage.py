"""The part of the composition root that faces the public: Caddy, and how it comes by certificates."""

from __future__ import annotations

from innkeeper.core.directory import Directory
from innkeeper.core.events import Bus
from innkeeper.core.names import Names
from innkeeper.edge.caddy import Caddy
from innkeeper.edge.caddy_config import EdgePlan
from innkeeper.edge.certificates import CertificateShelf
from innkeeper.edge.lookup import addresses_of
from innkeeper.edge.tls import Tls, Way
from innkeeper.loops.certificates import CertificateWatch
from innkeeper.settings import Settings


def names_of(settings: Settings, directory: Directory) -> Names:
    """Which hosts are served."""
    return Names(
        directory=directory,
        hosting=settings.hosting,
        resolve=addresses_of,
        public=settings.public_addresses,
        check=settings.hostnames_check == "dns",
    )


def watch_of(settings: Settings, caddy: Caddy, directory: Directory, bus: Bus) -> CertificateWatch:
    """Who looks after certificates."""
    plan = edge_plan(settings)
    seen = _stamps(plan)

    async def take_up() -> None:
        nonlocal seen
        if (now := _stamps(plan)) != seen:
            await caddy.start()  # finds it, and loads what has changed
            seen = now

    return CertificateWatch(look=CertificateShelf(plan).look, take_up=take_up, directory=directory, bus=bus)


def _stamps(plan: EdgePlan) -> tuple[int, ...]:
    """When the operator's own files were last changed."""
    files = [file for file in (plan.tls.cert, plan.tls.key) if file] if plan.tls else []
    return tuple(file.stat().st_mtime_ns for file in files if file.exists())


def edge_of(settings: Settings) -> Caddy:
    """The Caddy of this data directory."""
    return Caddy(edge_plan(settings))


def edge_plan(settings: Settings) -> EdgePlan:
    """What Caddy's configuration is made from."""
    return EdgePlan(
        host=settings.edge_host,
        port=settings.http_port,
        run=settings.run,
        wake_deadline_s=settings.wake_deadline_s,
        answer_s=settings.inbox_answer_s,
        message_mb=settings.inbox_body_mb,
        console_host=settings.hosting.console_host,
        wildcard=settings.hosting.host("*"),
        tls=_tls(settings),
        binary=settings.caddy_binary,
    )


def _tls(settings: Settings) -> Tls | None:
    if not settings.has_tls:
        return None
    return Tls(
        way=Way(settings.tls),
        port=settings.edge_https_port,
        ask=f"http://{_from_here(settings)}/edge/ask",
        hsts_s=settings.hsts_s,
        directory=settings.acme_ca,
        root=settings.acme_ca_root.absolute() if settings.acme_ca_root else None,
        email=settings.acme_email,
        dns=settings.tls_dns or "",
        cert=settings.tls_cert,
        key=settings.tls_key,
    )


def _from_here(settings: Settings) -> str:
    """Where the API is for a program on this host."""
    match settings.api_host:
        case "0.0.0.0":  # noqa: S104 - compared with, not listened on
            return f"127.0.0.1:{settings.api_port}"
        case "::":
            return f"[::1]:{settings.api_port}"
        case _:
            return settings.api
