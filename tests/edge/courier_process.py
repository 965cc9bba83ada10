"""A courier in a process of its own, so that it can be killed: `python -m tests.edge.courier_process RUN TO SIZES`.

Delivers one message of each size at once, then waits to be killed. Says `sending` when it begins.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from innkeeper.core.messages import Payload
from innkeeper.core.ports import Parcel
from innkeeper.edge.caddy_config import EdgePlan
from innkeeper.edge.courier import CaddyCourier


def parcel(attempt: str, to: str, *, body: bytes = b"hello", query: str = "", **headers: str) -> Parcel:
    """A message as the inbox keeps it."""
    usual = {"host": "alice.localhost", "x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https"}
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    payload = Payload(method="POST", query=query, headers=tuple((usual | said).items()), body=body)
    return Parcel(attempt=attempt, message_id=f"msg_{attempt}", to=to, path="/hooks", payload=payload)


async def main(run: Path, to: str, sizes: list[str]) -> None:
    """Deliver."""
    courier = CaddyCourier(EdgePlan(host="127.0.0.1", port=1, run=run, wake_deadline_s=20))
    sys.stdout.write("sending\n")
    sys.stdout.flush()
    async with asyncio.TaskGroup() as group:
        for each in sizes:
            attempt, size = each.split("=")
            group.create_task(courier.deliver(parcel(attempt, to, body=b"x" * int(size))))
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
