"""Running a program inside a container, within a deadline."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from aiodocker.execs import Exec

from innkeeper.core.errors import Problem, RuntimeFault
from innkeeper.core.instance import Execution
from innkeeper.runtimes.docker_engine import Engine

OUTPUT_BYTES = 1024 * 1024
"""More is read and dropped."""


async def run_inside(engine: Engine, container_id: str, command: Sequence[str], *, timeout_s: float) -> Execution:
    """Both of the program's streams in one, and how it ended; RuntimeFault when it takes too long."""
    async with engine.call("run a program inside") as docker:
        program = await docker.containers.container(container_id).exec(list(command))
    try:
        async with asyncio.timeout(timeout_s):
            output = await _output(engine, program)
    except TimeoutError as error:
        await _kill(engine, program, container_id)
        raise RuntimeFault(f"{command[0]} didn't end within {timeout_s:g} s.") from error
    async with engine.call("tell how a program ended"):
        ended = await program.inspect()
    return Execution(exit_code=int(ended["ExitCode"] or 0), output=output)


async def _output(engine: Engine, program: Exec) -> bytes:
    output = bytearray()
    async with engine.call("run a program inside", timeout_s=None), program.start() as stream:
        while (message := await stream.read_out()) is not None:
            output += message.data[: OUTPUT_BYTES - len(output)]
    return bytes(output)


async def _kill(engine: Engine, program: Exec, container_id: str) -> None:
    """End a program that we gave up on, where it is one of this very container and we may."""
    with suppress(Problem, OSError):
        async with engine.call("tell about a program"):
            pid = int((await program.inspect())["Pid"])
        if pid > 0:
            await asyncio.to_thread(_kill_pid, pid, container_id)


def _kill_pid(pid: int, container_id: str) -> None:
    # The descriptor pins the process, so that a pid used again can't be hit between the look and the signal.
    descriptor = os.pidfd_open(pid)
    try:
        if container_id in Path(f"/proc/{pid}/cgroup").read_text():
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    finally:
        os.close(descriptor)
