"""What is Docker's alone: ownership, races with other hands, deadlines."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import aiodocker
import pytest

from innkeeper.core.errors import ForeignInstance, RuntimeFault, RuntimeUnavailable
from innkeeper.core.instance import Instance, State
from innkeeper.runtimes.docker_engine import Engine
from tests.support.docker_bench import DockerBench, docker_bench

pytestmark = pytest.mark.docker


async def started(bench: DockerBench, tenant: str = "alice", *, slot: int = 0) -> Instance:
    instance = await bench.runtime.create(bench.blueprint(tenant, slot=slot))
    await bench.runtime.start(instance)
    return await bench.runtime.get(tenant)


# --- ownership --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"innkeeper.namespace": "another", "innkeeper.tenant": "alice", "innkeeper.tenant-id": "alice-1"},
        {"innkeeper.namespace": "{ours}", "innkeeper.tenant": "bob", "innkeeper.tenant-id": "alice-1"},
        {"innkeeper.namespace": "{ours}", "innkeeper.tenant": "alice", "innkeeper.tenant-id": "somebody-else"},
    ],
)
async def test_no_action_touches_what_isnt_labelled_as_the_tenants(labels: dict[str, str]) -> None:
    async with docker_bench() as bench:
        found = {label: value.replace("{ours}", bench.namespace) for label, value in labels.items()}
        stranger = await bench.stranger("alice", found)
        claimed = Instance(tenant="alice", tenant_id="alice-1", id=stranger, state=State.RUNNING)
        runtime = bench.runtime
        for action in (runtime.start, runtime.pause, runtime.unpause, runtime.remove, runtime.usage):
            with pytest.raises(ForeignInstance):
                await action(claimed)
        with pytest.raises(ForeignInstance):
            await runtime.stop(claimed, grace_s=0)
        with pytest.raises(ForeignInstance):
            await runtime.run(claimed, ["true"], timeout_s=1)
        shown = await bench.inspect("alice")
        assert (shown["Id"], shown["State"]["Status"]) == (stranger, "created")


async def test_two_installations_share_an_engine_without_seeing_each_other() -> None:
    async with docker_bench() as one, docker_bench() as other:
        await one.runtime.create(one.blueprint())
        assert list(await other.runtime.all()) == []
        await other.runtime.create(other.blueprint())
        assert (await one.runtime.place(0)).address != (await other.runtime.place(0)).address
        assert [instance.tenant for instance in await one.runtime.all()] == ["alice"]


async def test_instances_are_adopted_by_a_new_control_plane() -> None:
    async with docker_bench() as bench:
        instance = await started(bench, slot=3)
        after = bench.another_runtime()
        try:
            assert list(await after.all()) == [instance]
            assert await after.place(3) == await bench.runtime.place(3)
            await after.stop(instance, grace_s=5)
        finally:
            await after.close()
        assert (await bench.runtime.get("alice")).state is State.STOPPED


# --- other hands ------------------------------------------------------------------------------------------------------


async def test_two_control_planes_that_create_at_once_make_one_instance() -> None:
    async with docker_bench() as bench:
        other = bench.another_runtime()
        try:
            one, two = await asyncio.gather(bench.runtime.create(bench.blueprint()), other.create(bench.blueprint()))
        finally:
            await other.close()
        assert one.id == two.id
        assert len(await bench.runtime.places()) == 1


async def test_what_somebody_else_has_just_done_counts_as_done() -> None:
    async with docker_bench() as bench:
        instance, runtime = await started(bench), bench.runtime
        for _ in range(5):
            await asyncio.gather(*(runtime.pause(instance) for _ in range(4)))
            assert (await runtime.get("alice")).state is State.PAUSED
            await asyncio.gather(*(runtime.unpause(instance) for _ in range(4)))
            assert (await runtime.get("alice")).state is State.RUNNING
        await asyncio.gather(*(runtime.remove(instance) for _ in range(4)))
        assert not (await runtime.get("alice")).exists


# --- run --------------------------------------------------------------------------------------------------------------


async def test_a_program_that_takes_too_long_is_ended() -> None:
    async with docker_bench() as bench:
        instance = await started(bench)
        with pytest.raises(RuntimeFault, match=r"sleep didn't end within 0\.3 s"):
            await bench.runtime.run(instance, ["sleep", "1234"], timeout_s=0.3)
        seen = await bench.runtime.run(instance, ["ps", "-o", "args"], timeout_s=10)
        assert b"sleep 1234" not in seen.output
        assert b"httpd" in seen.output


async def test_a_program_that_isnt_there_ends_like_in_a_shell() -> None:
    async with docker_bench() as bench:
        ended = await bench.runtime.run(await started(bench), ["no-such-program"], timeout_s=10)
        assert ended.exit_code in (126, 127)


async def test_endless_output_is_cut() -> None:
    async with docker_bench() as bench:
        command = ["sh", "-c", "head -c 3000000 /dev/zero"]
        ended = await bench.runtime.run(await started(bench), command, timeout_s=30)
        assert (ended.exit_code, len(ended.output)) == (0, 1024 * 1024)


# --- logs -------------------------------------------------------------------------------------------------------------


async def test_hundreds_of_logs_are_followed_while_work_goes_on() -> None:
    async with docker_bench() as bench:
        instance = await started(bench)
        runtime, both = bench.runtime, asyncio.Semaphore(0)

        async def follow() -> int:
            count = 0
            async for _line in runtime.logs(instance, follow=True):
                count += 1
                both.release()
            return count

        async with asyncio.TaskGroup() as group:
            followers = [group.create_task(follow()) for _ in range(150)]
            for _ in range(2 * len(followers)):
                await both.acquire()
            await runtime.pause(instance)
            await runtime.unpause(instance)
            await runtime.stop(instance, grace_s=5)
        assert {follower.result() for follower in followers} == {2}


async def test_a_log_that_breaks_off_says_so() -> None:
    async with docker_bench() as bench:
        instance = await started(bench)
        lines = bench.runtime.logs(instance, follow=True)
        await anext(lines)
        bench.proxy.cut()
        with pytest.raises(RuntimeUnavailable):
            async for _line in lines:
                pass


async def test_a_line_of_a_hundred_kilobytes_is_cut_and_the_next_is_whole() -> None:
    async with docker_bench() as bench:
        command = ("sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x; echo; echo next; exec sleep 60")
        instance = await bench.runtime.create(bench.blueprint(command=command))
        await bench.runtime.start(instance)
        lines = bench.runtime.logs(instance, follow=True)
        assert (await anext(lines)).text == "x" * 16384
        assert (await anext(lines)).text == "next"


# --- the Engine -------------------------------------------------------------------------------------------------------


async def test_an_engine_that_hangs_is_unavailable_at_the_deadline(tmp_path: Path) -> None:
    async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with await asyncio.start_unix_server(hang, tmp_path / "s"):
        engine = Engine(str(tmp_path / "s"))
        try:
            with pytest.raises(RuntimeUnavailable, match=r"didn't sing within its deadline"):
                async with engine.call("sing", timeout_s=0.1) as docker:
                    await docker.version()
        finally:
            await engine.close()


async def test_the_engines_own_words_reach_the_reader_with_their_cause() -> None:
    async with docker_bench() as bench:
        broken = replace(bench.blueprint(), persistence="/no/such/folder")
        with pytest.raises(RuntimeFault, match="bind source path does not exist") as caught:
            await bench.runtime.create(broken)
        assert isinstance(caught.value.__cause__, aiodocker.DockerError)
