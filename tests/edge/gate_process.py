"""A gate in a process of its own, so that it can be killed: `python -m tests.edge.gate_process SOCKET URL`.

Alice is awake and answers at URL; bob never gets ready.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from innkeeper.edge.gate import Gate
from innkeeper.edge.gate_server import GateServer
from tests.edge.house import ToldDoor


async def main(path: Path, url: str) -> None:
    """Serve until killed."""
    door = ToldDoor()
    door.lead("alice", url)
    await GateServer(Gate(door, inbox=path.with_name("inbox.sock")), path=path).open()
    sys.stdout.write("open\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
