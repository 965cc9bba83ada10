"""Isolation, tried from inside real containers against a host that listens everywhere."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from innkeeper.core.instance import Instance
from innkeeper.runtimes.docker import DockerRuntime
from innkeeper.runtimes.firewall import table_name
from innkeeper.runtimes.isolation import PROGRAMS, Answer, Reach, probe_isolation, read_answers
from tests.support.docker_bench import DockerBench, docker_bench, nft


@asynccontextmanager
async def listening(host: str, port: int = 0) -> AsyncIterator[int]:
    """A server that takes connections and hangs up; its port."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(serve, host, port)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def tenant(bench: DockerBench, runtime: DockerRuntime, name: str, slot: int) -> Instance:
    instance = await runtime.create(bench.blueprint(name, slot=slot))
    await runtime.start(instance)
    return await runtime.get(name)


def wrong(reaches: list[Reach]) -> list[str]:
    return [f"{reach.target}: {reach.answer}" for reach in reaches if not reach.right]


@pytest.mark.docker
async def test_a_tenant_reaches_the_broker_and_nothing_else() -> None:
    # The host listens on every address, the broker's port included.
    async with docker_bench() as bench, listening("0.0.0.0") as broker_port:
        runtime = bench.another_runtime(broker_port=broker_port)
        try:
            alice = await tenant(bench, runtime, "alice", 0)
            await tenant(bench, runtime, "bob", 1)
            await tenant(bench, runtime, "far", 500)
            others = [f"{(await runtime.place(slot)).address}:8080" for slot in (1, 500)]
            reaches = await probe_isolation(runtime, alice, others=others)
            assert wrong(reaches) == []
            tried = {reach.target.what for reach in reaches}
            assert tried >= {"the broker", "the host", "the host by IPv6", "the cloud's metadata", "a neighbour"}
            # The counter-proof: without our table the same probe finds the host wide open.
            nft("delete", "table", "inet", table_name(bench.namespace))
            opened = {str(reach.target) for reach in await probe_isolation(runtime, alice) if not reach.right}
            assert f"the host at {(await runtime.place(0)).gateway}:22" in opened
            # And the next look at everything shuts it again.
            await runtime.all()
            assert wrong(await probe_isolation(runtime, alice, others=others)) == []
        finally:
            await runtime.close()


@pytest.mark.docker
async def test_the_host_reaches_every_tenant() -> None:
    async with docker_bench() as bench:
        await tenant(bench, bench.runtime, "alice", 0)
        address = (await bench.runtime.place(0)).address
        assert b'{"ok":true}' in await get_health(address)


async def get_health(address: str) -> bytes:
    while True:
        try:
            reader, writer = await asyncio.open_connection(address, 8080)
            break
        except ConnectionRefusedError:  # it is still starting
            await asyncio.sleep(0.05)
    writer.write(b"GET /health HTTP/1.0\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.docker
async def test_names_are_resolved_by_the_hosts_resolver() -> None:
    async with docker_bench() as bench:
        if not bench.runtime.host_net.resolvers():
            pytest.skip("this host has no resolver that a container could ask")
        alice = await tenant(bench, bench.runtime, "alice", 0)
        ended = await bench.runtime.run(alice, ["nslookup", "no-such-name.invalid"], timeout_s=20)
        assert b"NXDOMAIN" in ended.output


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: str(program[0]))
async def test_each_of_the_probes_programs_tells_open_from_refused_from_silent(program: tuple[str, ...]) -> None:
    interpreter = [shutil.which(program[0])]
    if program[0] == "sh" and shutil.which("busybox"):
        interpreter = ["busybox", "sh"]
    if None in interpreter:
        pytest.skip(f"no {program[0]} here")
    async with listening("127.0.0.1") as port:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            refused = free.getsockname()[1]
            knocks = ["127.0.0.1", str(port), "127.0.0.1", str(refused), "255.255.255.255", "80"]
            ran = await asyncio.create_subprocess_exec(
                *(word or "" for word in interpreter), *program[1:], *knocks, stdout=asyncio.subprocess.PIPE
            )
            output, _ = await ran.communicate()
    assert ran.returncode == 0
    assert read_answers(output) == {
        ("127.0.0.1", port): Answer.OPEN,
        ("127.0.0.1", refused): Answer.REFUSED,
        ("255.255.255.255", 80): Answer.SILENT,
    }
