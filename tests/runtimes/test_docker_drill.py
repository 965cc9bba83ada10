"""The drills' room on a real Engine: nothing gets out, nobody else gets in, and nothing is left."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from innkeeper.core.errors import ImageMissing, RuntimeFault
from innkeeper.core.instance import State
from innkeeper.core.ports import Blueprint
from innkeeper.runtimes.docker_drill import POOL, DockerDrillRoom, cells
from innkeeper.runtimes.drill_firewall import drill_bridges, drill_table
from innkeeper.runtimes.isolation import METADATA, PROGRAMS, read_answers
from tests.runtimes.test_isolation import get_health, listening, tenant
from tests.support.docker_bench import DockerBench, docker_bench, nft
from tests.support.world import world

DRILL = "op_0123456789"


@asynccontextmanager
async def a_room(bench: DockerBench) -> AsyncIterator[DockerDrillRoom]:
    room = DockerDrillRoom(socket=bench.proxy.path, namespace=bench.namespace)
    try:
        yield room
    finally:
        await room.tear_down()
        await room.release()


def blueprint(bench: DockerBench, **others: Any) -> Blueprint:
    return bench.blueprint("alice", **others)


async def knocked_at(room: DockerDrillRoom, targets: list[tuple[str, int]]) -> dict[tuple[str, int], str]:
    words = [str(word) for target in targets for word in target]
    for program in PROGRAMS:
        ended = await room.run(DRILL, [*program, *words], timeout_s=30)
        if ended.exit_code == 0:
            return {target: str(answer) for target, answer in read_answers(ended.output).items()}
    raise AssertionError("the image has nothing to knock with")


def within(output: bytes) -> str:
    return output.decode(errors="replace")


@pytest.mark.docker
async def test_from_inside_nothing_is_reached_and_from_here_it_is() -> None:
    # The host listens on every address, and a tenant runs beside.
    async with (
        docker_bench() as bench,
        a_room(bench) as room,
        listening("0.0.0.0") as port,
        world({"example.com": ["{0}"]}) as net,
    ):
        runtime = bench.another_runtime(broker_port=port)
        try:
            await tenant(bench, runtime, "bob", 0)
            bob = await runtime.place(0)
            place = await room.ready(DRILL)
            await room.open(DRILL, blueprint(bench))
            assert b'{"ok":true}' in await get_health(place.address)

            host = [str(address) for address in room.host_net.addresses()]
            targets = [(address, port) for address in host[:8]]
            targets += [(place.gateway, port), (place.gateway, 22), (METADATA, 80), (net.webs[0], 80)]
            targets += [(bob.address, 8080), (bob.gateway, port)]
            answers = await knocked_at(room, targets)
            assert {target: answer for target, answer in answers.items() if answer != "silent"} == {}

            for server in ([], [net.resolver]):
                named = await room.run(DRILL, ["nslookup", "example.com", *server], timeout_s=60)
                assert named.exit_code != 0, within(named.output)
            # A tenant reaches the same web server, and not the drill.
            bobs = await runtime.get("bob")
            reached = await runtime.run(bobs, [*PROGRAMS[3], net.webs[0], "80", place.address, "8080"], timeout_s=30)
            assert read_answers(reached.output) == {(net.webs[0], 80): "open", (place.address, 8080): "silent"}
        finally:
            await runtime.close()


@pytest.mark.docker
async def test_without_the_table_the_host_would_be_reached() -> None:
    """The counter-proof; and the next drill puts it back."""
    async with docker_bench() as bench, a_room(bench) as room, listening("0.0.0.0") as port:
        place = await room.ready(DRILL)
        await room.open(DRILL, blueprint(bench))
        nft("delete", "table", "inet", drill_table(bench.namespace))
        assert await knocked_at(room, [(place.gateway, port)]) == {(place.gateway, port): "open"}
        await room.ready("op_another")
        assert await knocked_at(room, [(place.gateway, port)]) == {(place.gateway, port): "silent"}


@pytest.mark.docker
async def test_the_container_is_hardened_and_is_no_tenants() -> None:
    async with docker_bench() as bench, a_room(bench) as room:
        await room.open(DRILL, blueprint(bench))
        await room.open(DRILL, blueprint(bench))
        [container] = await bench.docker.containers.list(all=1, filters=json.dumps({"name": [bench.namespace]}))
        shown = await container.show()
        tenants = await bench.runtime.create(bench.blueprint("bob", slot=0))
        theirs = await bench.docker.containers.container(tenants.id or "").show()
        own = {"NetworkMode", "Dns", "RestartPolicy", "Mounts", "Binds"}
        for key in theirs["HostConfig"].keys() - own:
            assert shown["HostConfig"][key] == theirs["HostConfig"][key], key
        assert shown["Config"]["User"] == "1000:1000"
        assert shown["Config"]["Hostname"] == "alice"
        assert shown["HostConfig"]["RestartPolicy"]["Name"] == "no"
        assert "innkeeper.namespace" not in shown["Config"]["Labels"]
        assert [instance.tenant for instance in await bench.runtime.all()] == ["bob"]
        assert (await bench.runtime.get("alice")).state is State.ABSENT
        assert (await room.state(DRILL)).state is State.RUNNING
        assert (await room.state("bob")).state is State.ABSENT
        await bench.runtime.prune([])
        assert nft("list", "table", "inet", drill_table(bench.namespace)), "it isn't the tenants' to take away"


@pytest.mark.docker
async def test_one_that_ends_stays_ended_and_tells_why() -> None:
    async with docker_bench() as bench, a_room(bench) as room:
        await room.open(DRILL, blueprint(bench, env={"EXIT_AT_ONCE": "7"}))
        async with asyncio.timeout(20):
            while (ended := await room.state(DRILL)).state is State.RUNNING:
                await asyncio.sleep(0.05)
        assert (ended.state, ended.exit_code, ended.restarts) == (State.STOPPED, 7, 0)
        assert [line.text async for line in room.logs(DRILL, tail=10)] != []


@pytest.mark.docker
async def test_a_program_is_run_to_its_end_on_the_same_network_and_goes() -> None:
    async with docker_bench() as bench, a_room(bench) as room:
        say = blueprint(bench, command=("sh", "-c", "echo found; exit 3"))
        ended = await room.run_once(DRILL, say, timeout_s=30)
        assert (ended.exit_code, ended.output) == (3, b"found")
        place = await room.ready(DRILL)
        await room.open(DRILL, blueprint(bench))
        assert await room.ready(DRILL) == place
        with pytest.raises(RuntimeFault):
            await room.run_once(DRILL, blueprint(bench, command=("sleep", "600")), timeout_s=0.5)
        await room.close(DRILL)
        assert await room.leftovers() == []


@pytest.mark.docker
async def test_an_image_that_isnt_there_is_named() -> None:
    async with docker_bench() as bench, a_room(bench) as room:
        with pytest.raises(ImageMissing):
            await room.open(DRILL, blueprint(bench, image="sha256:" + "0" * 64))
        assert await room.leftovers() == [DRILL]
        await room.close(DRILL)
        assert await room.leftovers() == []


@pytest.mark.docker
async def test_what_a_crash_has_left_is_found_and_removed() -> None:
    async with docker_bench() as bench, a_room(bench) as room:
        await room.open(DRILL, blueprint(bench))
        await room.ready("op_half")
        async with a_room(bench) as next_one:
            assert list(await next_one.leftovers()) == [DRILL, "op_half"]
            for drill in await next_one.leftovers():
                await next_one.close(drill)
                await next_one.close(drill)
            assert await next_one.leftovers() == []
        assert not list(Path("/sys/class/net").glob(f"{drill_bridges(bench.namespace)}*"))


@pytest.mark.docker
async def test_several_lie_apart() -> None:
    async with docker_bench() as bench, a_room(bench) as room:
        places = await asyncio.gather(*(room.ready(f"op_{number}") for number in range(4)))
        assert len({place.gateway for place in places}) == 4
        again = await room.ready("op_2")
        assert again == places[2]


def test_a_range_that_somebody_has_is_left_alone() -> None:
    taken = list(POOL.subnets(new_prefix=17))
    [free, *others] = [taken.pop(1), *cells([IPv4Network("0.0.0.0/0"), *taken])]
    assert others
    assert all(cell.subnet_of(free) for cell in others)
    assert not list(cells([POOL]))
