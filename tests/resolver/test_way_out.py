"""The way out, tried from inside a real container against a small internet of the test's own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from innkeeper.core.instance import Instance
from innkeeper.core.uses import EgressMode
from innkeeper.resolver.answering import Outcome
from innkeeper.resolver.upstream import HostServers
from innkeeper.runtimes.docker import DockerRuntime
from innkeeper.runtimes.egress_table import egress_table_name
from tests.resolver.watched import Watched
from tests.support.docker_bench import DockerBench, docker_bench, nft
from tests.support.serving import free_port
from tests.support.world import World, world

pytestmark = pytest.mark.docker

OFF, LEARN, ENFORCE = EgressMode
RECORDS = {
    "api.example.com A": ["{0}"],
    "www.example.com A": ["{1}"],
    "files.example.net CNAME": ["edge.cdn.example."],
    "edge.cdn.example A": ["{2}"],
    "inside.example.com A": ["10.0.0.7"],
    "mixed.example.com A": ["169.254.169.254", "{3}"],
    "long.example.com TXT": [f'"a long text {"x" * 80} {number}"' for number in range(8)],
}


@dataclass(kw_only=True)
class Scene:
    """One tenant's container, the world, and the control plane's part."""

    bench: DockerBench
    runtime: DockerRuntime
    alice: Instance
    world: World
    watched: Watched

    async def inside(self, program: str) -> str:
        """What a shell in the container prints."""
        return (await self.runtime.run(self.alice, ["sh", "-c", program], timeout_s=30)).output.decode(errors="replace")

    async def looked_up(self, name: str, server: str = "") -> list[str]:
        """The addresses that the container's own resolver finds, or the one that it asks."""
        said = await self.inside(f"nslookup -type=a {name} {server} 2>&1")
        answer = said.partition("\n\n")[2]
        return [line.split()[1] for line in answer.splitlines() if line.startswith("Address:")]

    async def got(self, address: str, port: int = 80) -> str:
        """The page at an address; empty where it can't be reached."""
        said = await self.inside(
            f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 {address} {port} 2>/dev/null | tail -n 1"
        )
        return said.strip()

    async def sent(self, address: str, port: int, *, times: int = 1) -> None:
        """Datagrams that are no questions, from the container's own network."""
        pid = (await self.bench.inspect("alice"))["State"]["Pid"]
        program = ["nsenter", "--target", str(pid), "--net", sys.executable, "-c", SEND, address, str(port), str(times)]
        await asyncio.to_thread(subprocess.run, program, check=True)


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    async with docker_bench() as bench, world(RECORDS) as outside:
        port = free_port()
        runtime = bench.another_runtime(names_port=port)
        try:
            alice = await runtime.create(bench.blueprint())
            await runtime.start(alice)
            alice = await runtime.get("alice")
            watched = Watched(runtime, HostServers(lambda: [outside.resolver]), port=port)
            async with watched.running():
                yield Scene(bench=bench, runtime=runtime, alice=alice, world=outside, watched=watched)
        finally:
            await runtime.close()


async def test_enforced_an_allowed_name_answers_and_nothing_else_does() -> None:
    async with scene() as at:
        api, www, cdn, *_ = at.world.webs
        # Without a list everything answers, another resolver too: the world is as it seems.
        assert await at.got(www) == "web 1"
        assert await at.looked_up("www.example.com", at.world.resolver) == [www]
        await at.watched.put("alice", ENFORCE, "api.example.com", "*.example.net")

        assert await at.got(api) == "", "nobody has asked for its name yet"
        assert await at.looked_up("api.example.com") == [api]
        assert await at.got(api) == "web 0"
        assert await at.looked_up("files.example.net") == [cdn], "by an alias of another domain"
        assert await at.got(cdn) == "web 2"

        assert await at.looked_up("www.example.com") == []
        assert await at.got(www) == "", "neither by its address"
        assert await at.looked_up("www.example.com", at.world.resolver) == [], "nor by another resolver"
        assert await at.looked_up("api.example.com", at.world.resolver) == [api], "which is ours, whatever its address"
        assert await at.got(at.world.resolver, 53) == ""
        assert await at.got(www) == ""
        assert [asked for asked in await at.watched.asked("alice") if asked[2]] == [("www.example.com", 2, 2)]


async def test_learning_lists_what_was_asked_for_and_stops_nothing() -> None:
    async with scene() as at:
        await at.watched.put("alice", LEARN)
        assert await at.looked_up("www.example.com") == [at.world.webs[1]]
        assert await at.looked_up("WWW.example.com", at.world.resolver) == [at.world.webs[1]]
        assert await at.looked_up("nowhere.example.com") == []
        assert await at.got(at.world.webs[3]) == "web 3"
        names = {name: refused for name, _, refused in await at.watched.asked("alice")}
        assert names == {"www.example.com": 0, "nowhere.example.com": 0}


async def test_nobody_stands_still_for_being_learnt_from() -> None:
    async with scene() as at:
        await at.watched.put("alice", LEARN)
        assert await at.looked_up("www.example.com", at.world.resolver) == [at.world.webs[1]]
        await at.watched.stop()
        assert await at.looked_up("api.example.com", at.world.resolver) == [at.world.webs[0]]
        assert [name for name, *_ in await at.watched.asked("alice")] == ["www.example.com"]


async def test_modes_and_lists_change_under_a_running_instance() -> None:
    async with scene() as at:
        api, www, *_ = at.world.webs
        await at.watched.put("alice", ENFORCE, "api.example.com", "www.example.com")
        assert await at.looked_up("api.example.com") == [api]
        assert await at.looked_up("www.example.com") == [www]
        assert (await at.got(api), await at.got(www)) == ("web 0", "web 1")
        await at.watched.put("alice", ENFORCE, "api.example.com")
        assert (await at.got(api), await at.got(www)) == ("web 0", ""), "what left the list is shut at once"
        await at.watched.put("alice", OFF)
        assert await at.got(www) == "web 1"
        assert await at.looked_up("www.example.com", at.world.resolver) == [www]
        await at.watched.put("alice", ENFORCE, "www.example.com")
        assert await at.got(api) == "", "what was open before it was off stays shut"
        shown = await at.bench.inspect("alice")
        assert shown["Id"] == at.alice.id
        assert shown["RestartCount"] == 0


async def test_what_is_under_way_ends_when_its_name_leaves_the_list() -> None:
    async with scene() as at:
        api = at.world.webs[0]
        await at.watched.put("alice", ENFORCE, "api.example.com")
        assert await at.looked_up("api.example.com") == [api]
        page = "printf 'GET / HTTP/1.0\\r\\n'; while [ ! -e /tmp/go ]; do sleep 0.1; done; printf '\\r\\n'; sleep 2"
        await at.inside(f"({page}) | nc -w 3 {api} 80 >/tmp/said 2>&1 &")
        await at.watched.put("alice", ENFORCE)
        await at.inside("touch /tmp/go; sleep 3")
        assert "web 0" not in await at.inside("cat /tmp/said")


async def test_addresses_that_nobody_may_reach_are_left_out_of_answers() -> None:
    async with scene() as at:
        await at.watched.put("alice", ENFORCE, "*.example.com")
        assert await at.looked_up("inside.example.com") == []
        assert await at.looked_up("mixed.example.com") == [at.world.webs[3]]
        opened = nft("--stateless", "list", "set", "inet", egress_table_name(at.bench.namespace), "reachable")
        assert opened
        assert "10.0.0.7" not in opened
        assert "169.254" not in opened


async def test_neighbours_have_lists_of_their_own() -> None:
    async with scene() as at:
        api, www, *_ = at.world.webs
        bob = await at.runtime.create(at.bench.blueprint("bob", slot=1))
        await at.runtime.start(bob)
        theirs = replace(at, alice=await at.runtime.get("bob"))
        await at.watched.put("alice", ENFORCE, "api.example.com")
        await at.watched.put("bob", ENFORCE, "www.example.com", slot=1)
        assert await at.looked_up("api.example.com") == [api]
        assert await theirs.looked_up("www.example.com") == [www]
        assert (await at.got(api), await at.got(www)) == ("web 0", "")
        assert (await theirs.got(api), await theirs.got(www)) == ("", "web 1")
        # Somebody new in bob's place gets nothing of what was open to him.
        await at.watched.drop("bob")
        await at.watched.put("carol", ENFORCE, "api.example.com", slot=1)
        assert await theirs.got(www) == ""


async def test_a_tenant_is_closed_in_before_its_first_start() -> None:
    async with scene() as at:
        await at.watched.put("bob", ENFORCE, "api.example.com", slot=1)
        bob = await at.runtime.create(at.bench.blueprint("bob", slot=1))
        nft("delete", "table", "inet", egress_table_name(at.bench.namespace))
        await at.runtime.start(bob)
        theirs = replace(at, alice=await at.runtime.get("bob"))
        assert await theirs.got(at.world.webs[1]) == ""
        assert await theirs.looked_up("api.example.com") == [at.world.webs[0]]
        assert await theirs.got(at.world.webs[0]) == "web 0"


async def test_a_flushed_table_comes_back_with_what_was_open() -> None:
    async with scene() as at:
        api, www, *_ = at.world.webs
        await at.watched.put("alice", ENFORCE, "api.example.com")
        assert await at.looked_up("api.example.com") == [api]
        nft("delete", "table", "inet", egress_table_name(at.bench.namespace))
        await at.watched.watch.look()
        assert (await at.got(api), await at.got(www)) == ("web 0", "")
        nft("flush", "chain", "inet", egress_table_name(at.bench.namespace), "forward")
        await at.runtime.all()
        assert (await at.got(api), await at.got(www)) == ("web 0", "")


async def test_what_is_enforced_stays_so_without_a_control_plane_and_after_it() -> None:
    async with scene() as at:
        api, www, cdn, *_ = at.world.webs
        await at.watched.put("alice", ENFORCE, "api.example.com", "www.example.com", "files.example.net")
        assert await at.looked_up("api.example.com") == [api]
        assert await at.looked_up("www.example.com") == [www]
        await at.watched.stop()
        assert (await at.got(api), await at.got(cdn)) == ("web 0", ""), "what is known lives on, the rest is shut"
        assert await at.looked_up("files.example.net") == []
        # It died between the change of the list and what follows from it.
        await at.watched.put_down("alice", ENFORCE, "api.example.com", "files.example.net")
        later = at.bench.another_runtime(names_port=at.watched.port)
        try:
            again = Watched(later, at.watched.upstream, port=at.watched.port, store=at.watched.store)
            async with again.running():
                await again.settled()
                assert (await at.got(api), await at.got(www)) == ("web 0", "")
                assert await at.looked_up("files.example.net") == [cdn]
                assert await at.got(cdn) == "web 2"
        finally:
            await later.close()


async def test_a_control_plane_that_starts_leaves_no_gap() -> None:
    async with scene() as at:
        await at.watched.put("alice", ENFORCE, "api.example.com")
        await at.watched.stop()
        before = nft("--stateless", "list", "table", "inet", egress_table_name(at.bench.namespace))
        later = at.bench.another_runtime(names_port=at.watched.port)
        try:
            await later.all()
            assert nft("--stateless", "list", "table", "inet", egress_table_name(at.bench.namespace)) == before
        finally:
            await later.close()


async def test_long_answers_come_over_tcp() -> None:
    async with scene() as at:
        await at.watched.put("alice", ENFORCE, "long.example.com")
        said = await at.inside(TCP_QUESTION)
        assert said.count("a long text") == 8, said


TCP_QUESTION = (
    # "long.example.com TXT", over TCP to an address where nobody is: a header, the name, TXT IN.
    "printf '\\000\\042\\000\\007\\001\\000\\000\\001\\000\\000\\000\\000\\000\\000"
    "\\004long\\007example\\003com\\000\\000\\020\\000\\001' | nc -w 3 192.0.2.254 53"
)


async def test_a_flood_is_stopped_in_the_kernel_and_harms_no_neighbour() -> None:
    async with scene() as at:
        bob = await at.runtime.create(at.bench.blueprint("bob", slot=1))
        await at.runtime.start(bob)
        theirs = replace(at, alice=await at.runtime.get("bob"))
        await at.watched.put("alice", ENFORCE, "api.example.com")
        await at.watched.put("bob", ENFORCE, "api.example.com", slot=1)
        flood = asyncio.create_task(at.sent("192.0.2.254", 53, times=20_000))
        assert await theirs.looked_up("api.example.com") == [at.world.webs[0]]
        await flood
        assert 0 < at.watched.outcomes.count(Outcome.UNREADABLE) < 2000


async def test_the_name_server_answers_nobody_who_isnt_watched() -> None:
    async with scene() as at:
        await at.watched.put("bob", LEARN, slot=1)
        gateway = (await at.runtime.place(0)).gateway
        assert at.watched.listeners.addresses == [gateway]
        await at.sent(gateway, at.watched.port)
        assert await at.got(gateway, at.watched.port) == ""
        assert at.watched.outcomes == [], "not even a packet of its gets there"
        await at.watched.put("alice", LEARN)
        await at.sent(gateway, at.watched.port)
        assert at.watched.outcomes == [], "nor one that wasn't sent to a name server's port"
        await at.sent(gateway, 53)
        async with asyncio.timeout(10):
            while not at.watched.outcomes:
                await asyncio.sleep(0.01)


SEND = """
import socket, sys
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(int(sys.argv[3])):
    sender.sendto(b"x" * 20, (sys.argv[1], int(sys.argv[2])))
"""
