"""The part of the composition root that faces the public: Caddy."""

from __future__ import annotations

from innkeeper.edge.caddy import Caddy
from innkeeper.edge.caddy_config import EdgePlan
from innkeeper.settings import Settings


def edge_of(settings: Settings) -> Caddy:
    """The Caddy of this data directory."""
    return Caddy(edge_plan(settings))


def edge_plan(settings: Settings) -> EdgePlan:
    """What Caddy's configuration is made from."""
    return EdgePlan(
        host=settings.edge_host,
        port=settings.edge_port,
        run=settings.run,
        wake_deadline_s=settings.wake_deadline_s,
        answer_s=settings.inbox_answer_s,
        message_mb=settings.inbox_body_mb,
    )
