"""The Engine's events, for ever: reconnects with a growing pause, and says so, since some were lost meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from innkeeper.core.errors import Problem
from innkeeper.core.instance import RuntimeEvent
from innkeeper.runtimes import docker_labels as labels
from innkeeper.runtimes.docker_engine import Engine

ACTIONS = ("create", "start", "die", "oom", "pause", "unpause", "destroy")
"""Those that change an instance; our own probes by exec would drown them otherwise."""
PAUSE_S = (0.1, 5.0)
"""Shortest and longest wait before the next try to connect."""


async def follow_events(
    engine: Engine, namespace: str, hear: Callable[[dict[str, Any]], None]
) -> AsyncIterator[RuntimeEvent]:
    """Events of the namespace's containers; one without a tenant means: look at everything.

    `hear` is told the whole of each event before it is passed on.
    """
    filters = {**labels.ours(namespace), "type": ["container"], "event": list(ACTIONS)}
    shortest, longest = PAUSE_S
    pause_s, action = shortest, "connected"
    while True:
        try:
            async with engine.stream("tell its events", "events", {"filters": json.dumps(filters)}) as stream:
                yield RuntimeEvent(tenant="", action=action)
                pause_s, action = shortest, "reconnected"
                async for line in stream:
                    if line.strip():
                        event = json.loads(line)
                        hear(event)
                        yield _event(event)
        except (Problem, ValueError):
            # Down, or cut off in the middle of a line: whoever acts is told by the call itself.
            pass
        await asyncio.sleep(pause_s)
        pause_s = min(longest, pause_s * 2)


def _event(told: dict[str, Any]) -> RuntimeEvent:
    return RuntimeEvent(tenant=told["Actor"]["Attributes"].get(labels.TENANT, ""), action=told["Action"])
