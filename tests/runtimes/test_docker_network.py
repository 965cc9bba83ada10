"""The tenants' networks on a real Engine: claimed, held, mended, pruned."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from innkeeper.core.errors import ForeignInstance, IsolationBroken
from innkeeper.core.instance import State
from innkeeper.runtimes import docker_network
from innkeeper.runtimes.addressing import bridge_prefix
from innkeeper.runtimes.bridge_netfilter import assert_bridge_netfilter
from innkeeper.runtimes.firewall import table_name
from innkeeper.runtimes.host_net import HostNet
from tests.support.docker_bench import DockerBench, docker_bench, nft

pytestmark = pytest.mark.docker


def table(bench: DockerBench) -> str | None:
    return nft("--stateless", "list", "table", "inet", table_name(bench.namespace))


async def network(bench: DockerBench, index: int) -> dict[str, object]:
    found = await bench.docker.networks.get(f"{bench.namespace}-net-{index}")
    return await found.show()


def bridges(bench: DockerBench) -> list[str]:
    return sorted(path.name for path in Path("/sys/class/net").glob(f"{bridge_prefix(bench.namespace)}*"))


async def test_a_network_is_made_as_designed() -> None:
    async with docker_bench() as bench:
        await bench.runtime.create(bench.blueprint(slot=500))
        shown = await network(bench, 1)
        place = await bench.runtime.place(500)
        assert shown["EnableIPv6"] is False
        assert shown["Options"] == {
            "com.docker.network.bridge.name": bridge_prefix(bench.namespace) + "1",
            "com.docker.network.bridge.enable_icc": "false",
        }
        config = shown["IPAM"]["Config"][0]  # type: ignore[index]
        assert config["Gateway"] == place.gateway
        assert IPv4Network(config["Subnet"]).prefixlen == 22
        assert bridges(bench) == [bridge_prefix(bench.namespace) + "1"]


async def test_the_claimed_pool_overlaps_neither_routes_nor_resolvers() -> None:
    async with docker_bench() as bench:
        proc, etc = bench.folder / "net", bench.folder / "etc"
        proc.mkdir()
        etc.mkdir()
        # A route to 10.64.0.0/12, as of a VPN, and a resolver behind the default route.
        (proc / "route").write_text("Iface Destination …\ntun0 0000400A 0 1 0 0 0 0000F0FF 0 0 0\n")
        (etc / "resolv.conf").write_text("nameserver 10.80.0.53\n")
        runtime = bench.another_runtime(host_net=HostNet(proc=bench.folder, etc=etc))
        try:
            gateway = IPv4Address((await runtime.place(0)).gateway)
        finally:
            await runtime.close()
        assert gateway > IPv4Address("10.81.0.0")


async def test_a_pool_from_the_settings_is_used_without_being_claimed() -> None:
    async with docker_bench() as bench:
        runtime = bench.another_runtime(pool="172.29.0.0/16")
        try:
            assert (await runtime.place(0)).address == "172.29.0.16"
            assert list(await runtime.places()) == []
        finally:
            await runtime.close()


async def test_flushed_rules_come_back_before_the_next_start() -> None:
    async with docker_bench() as bench:
        instance = await bench.runtime.create(bench.blueprint())
        whole = table(bench)
        assert whole
        nft("flush", "table", "inet", table_name(bench.namespace))
        await bench.runtime.start(instance)
        assert table(bench) == whole
        nft("delete", "table", "inet", table_name(bench.namespace))
        assert list(await bench.runtime.all())
        assert table(bench) == whole


async def test_rules_that_somebody_added_are_undone() -> None:
    async with docker_bench() as bench:
        await bench.runtime.create(bench.blueprint())
        whole = table(bench)
        nft("insert", "rule", "inet", table_name(bench.namespace), "to_host", "accept")
        assert table(bench) != whole
        await bench.runtime.all()
        assert table(bench) == whole


async def test_nothing_starts_where_isolation_cant_be_had(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with docker_bench() as bench:
        instance = await bench.runtime.create(bench.blueprint())

        async def broken() -> None:
            await assert_bridge_netfilter(tmp_path / "bridge")

        monkeypatch.setattr(docker_network, "assert_bridge_netfilter", broken)
        with pytest.raises(IsolationBroken):
            await bench.runtime.start(instance)
        with pytest.raises(IsolationBroken):
            await bench.runtime.create(bench.blueprint("bob", slot=1))
        assert [found.state for found in await bench.runtime.all()] == [State.STOPPED]


async def test_a_network_that_somebody_removed_is_made_again_and_the_sleeper_starts_on_it() -> None:
    async with docker_bench() as bench:
        # Of its own, so that no other test claims it while the network is away.
        runtime = bench.another_runtime(pool="172.28.0.0/16")
        try:
            instance = await runtime.create(bench.blueprint(slot=5))
            await runtime.start(instance)
            await runtime.stop(instance, grace_s=5)
            before = await runtime.place(5)
        finally:
            await runtime.close()
        await (await bench.docker.networks.get(before.network)).delete()
        later = bench.another_runtime(pool="172.28.0.0/16")
        try:
            await later.start(instance)
            assert await later.place(5) == before
        finally:
            await later.close()
        shown = await bench.inspect("alice")
        assert shown["NetworkSettings"]["Networks"][before.network]["IPAddress"] == before.address


async def test_somebody_elses_network_of_our_name_is_refused() -> None:
    async with docker_bench() as bench:
        theirs = await bench.docker.networks.create({"Name": f"{bench.namespace}-net-0", "Driver": "bridge"})
        try:
            with pytest.raises(ForeignInstance):
                await bench.runtime.create(bench.blueprint())
        finally:
            await theirs.delete()


async def test_prune_keeps_what_is_used_and_at_last_leaves_nothing() -> None:
    async with docker_bench() as bench:
        runtime = bench.runtime
        for name, slot in (("alice", 0), ("bob", 500)):
            await runtime.create(bench.blueprint(name, slot=slot))
        await runtime.remove(await runtime.get("bob"))
        await runtime.prune([0])
        assert len(bridges(bench)) == 1
        kept = table(bench)
        assert kept
        assert f'{bridge_prefix(bench.namespace)}1"' not in kept
        await runtime.remove(await runtime.get("alice"))
        for _ in range(2):
            await runtime.prune([])
        assert bridges(bench) == []
        assert table(bench) is None


async def test_a_network_in_use_outlives_a_prune_that_forgot_it() -> None:
    async with docker_bench() as bench:
        instance = await bench.runtime.create(bench.blueprint())
        await bench.runtime.start(instance)
        await bench.runtime.prune([])
        assert table(bench)
        assert len(await bench.runtime.places()) == 1


async def test_installations_that_claim_a_pool_at_once_get_different_ones() -> None:
    async with docker_bench() as one, docker_bench() as two, docker_bench() as three:
        places = await asyncio.gather(*(bench.runtime.place(0) for bench in (one, two, three)))
        assert len({place.gateway for place in places}) == 3
