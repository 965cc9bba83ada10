"""Every sentence of the runtime's contract (core/ports.py), for each runtime."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest

from innkeeper.core.errors import ForeignInstance, ImageMissing, RuntimeFault, RuntimeUnavailable
from innkeeper.core.instance import Instance, State, absent
from innkeeper.core.ladder import Rung
from innkeeper.core.ports import Runtime
from tests.runtimes.benches import Bench, opened


@pytest.fixture(params=["memory", pytest.param("docker", marks=pytest.mark.docker)])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    async with opened(request.param) as bench:
        yield bench


@pytest.fixture
def runtime(bench: Bench) -> Runtime:
    return bench.runtime


async def state(runtime: Runtime, tenant: str = "alice") -> State:
    return (await runtime.get(tenant)).state


# --- one instance a tenant --------------------------------------------------------------------------------------------


async def test_at_first_there_is_nothing(runtime: Runtime) -> None:
    assert await runtime.get("alice") == absent("alice")
    assert list(await runtime.all()) == []
    assert list(await runtime.places()) == []


async def test_create_makes_an_instance_that_is_labelled_and_not_started(bench: Bench, runtime: Runtime) -> None:
    made = await runtime.create(bench.blueprint(tenant_id="t-7", revision=4))
    assert (made.tenant, made.tenant_id, made.revision, made.state) == ("alice", "t-7", 4, State.STOPPED)
    assert made.id
    assert made.started_at is None
    assert made.exit_code is None
    assert await runtime.get("alice") == made
    assert list(await runtime.all()) == [made]


async def test_create_never_replaces_and_returns_what_is_there(bench: Bench, runtime: Runtime) -> None:
    first = await runtime.create(bench.blueprint(tenant_id="former", revision=1))
    second = await runtime.create(bench.blueprint(tenant_id="later", revision=2))
    assert second == first


async def test_a_strangers_name_is_refused_and_the_stranger_left_alone(bench: Bench, runtime: Runtime) -> None:
    await bench.stranger_takes("alice")
    assert await runtime.get("alice") == absent("alice")
    with pytest.raises(ForeignInstance):
        await runtime.create(bench.blueprint())
    assert list(await runtime.all()) == []
    await runtime.remove(absent("alice"))
    assert await bench.stranger_is_unharmed("alice")


async def test_all_lists_every_tenants_instance_as_get_shows_it(bench: Bench, runtime: Runtime) -> None:
    await bench.started("alice", slot=0)
    await runtime.create(bench.blueprint("bob", slot=1))
    listed = {instance.tenant: instance for instance in await runtime.all()}
    assert listed == {name: await runtime.get(name) for name in ("alice", "bob")}


# --- repeatable, in order ---------------------------------------------------------------------------------------------


async def test_a_whole_life_with_each_action_twice(bench: Bench, runtime: Runtime) -> None:
    instance = await runtime.create(bench.blueprint())

    async def twice(action: Callable[[Instance], Awaitable[None]]) -> Instance:
        for _ in range(2):
            await action(await runtime.get("alice"))
        return await runtime.get("alice")

    async def stop(instance: Instance) -> None:
        await runtime.stop(instance, grace_s=5)

    assert (await twice(stop)).state is State.STOPPED
    running = await twice(runtime.start)
    assert running.state is State.RUNNING
    assert (running.id, running.restarts, running.stuck) == (instance.id, 0, False)
    assert running.started_at
    assert running.started_at.tzinfo
    paused = await twice(runtime.pause)
    assert (paused.state, paused.started_at) == (State.PAUSED, running.started_at)
    thawed = await twice(runtime.unpause)
    assert thawed == running
    stopped = await twice(stop)
    assert (stopped.state, stopped.exit_code) == (State.STOPPED, 0)
    again = await twice(runtime.start)
    assert again.started_at
    assert again.started_at > running.started_at
    await twice(stop)
    assert await twice(runtime.remove) == absent("alice")


@pytest.mark.parametrize("before", [State.RUNNING, State.PAUSED, State.STOPPED])
async def test_remove_ends_it_at_once_whatever_it_does(bench: Bench, runtime: Runtime, before: State) -> None:
    instance = await bench.started()
    if before is State.PAUSED:
        await runtime.pause(instance)
    if before is State.STOPPED:
        await runtime.stop(instance, grace_s=5)
    await runtime.remove(instance)
    assert await runtime.get("alice") == absent("alice")


async def test_what_the_order_forbids_is_refused_and_changes_nothing(bench: Bench, runtime: Runtime) -> None:
    instance = await bench.started()
    await runtime.pause(instance)
    with pytest.raises(RuntimeFault):
        await runtime.start(instance)
    assert await state(runtime) is State.PAUSED
    await runtime.unpause(instance)
    await runtime.stop(instance, grace_s=5)
    for action in (runtime.pause, runtime.unpause):
        with pytest.raises(RuntimeFault):
            await action(instance)
    assert await state(runtime) is State.STOPPED


# --- pinned to the id -------------------------------------------------------------------------------------------------


async def test_an_action_on_a_vanished_one_is_a_fault_and_its_remove_is_done(bench: Bench, runtime: Runtime) -> None:
    instance = await bench.started()
    await bench.by_hand_remove("alice")
    assert await runtime.get("alice") == absent("alice")
    for action in (runtime.start, runtime.pause, runtime.unpause, runtime.usage):
        with pytest.raises(RuntimeFault):
            await action(instance)
    with pytest.raises(RuntimeFault):
        await runtime.stop(instance, grace_s=1)
    with pytest.raises(RuntimeFault):
        [line async for line in runtime.logs(instance)]
    await runtime.remove(instance)


async def test_one_that_was_replaced_meanwhile_is_left_alone(bench: Bench, runtime: Runtime) -> None:
    old = await bench.started()
    await bench.by_hand_remove("alice")
    new = await bench.started()
    assert new.id != old.id
    with pytest.raises(RuntimeFault):
        await runtime.stop(old, grace_s=1)
    with pytest.raises(RuntimeFault):
        await runtime.pause(old)
    await runtime.remove(old)
    assert await runtime.get("alice") == new


# --- crashes ----------------------------------------------------------------------------------------------------------


async def test_one_that_crashes_is_restarted_and_counted_until_the_next_start(bench: Bench, runtime: Runtime) -> None:
    before = await bench.started()
    await bench.crash("alice", 7)
    after = await runtime.get("alice")
    assert (after.state, after.restarts, after.id) == (State.RUNNING, 1, before.id)
    # Somebody listened to the events, so that it is known how it ended.
    assert (after.exit_code, after.out_of_memory) == (7, False)
    assert before.started_at
    assert after.started_at
    assert after.started_at > before.started_at
    await runtime.stop(after, grace_s=5)
    await runtime.start(after)
    again = await runtime.get("alice")
    assert (again.restarts, again.exit_code) == (0, None)


async def test_one_that_waits_for_its_restart_is_stuck_and_says_how_it_ended(bench: Bench, runtime: Runtime) -> None:
    stuck = await bench.crash_for_ever("alice", 78)
    assert (stuck.state, stuck.stuck, stuck.exit_code) == (State.RUNNING, True, 78)
    assert stuck.restarts >= 1
    await runtime.stop(stuck, grace_s=1)
    stopped = await runtime.get("alice")
    assert (stopped.state, stopped.stuck) == (State.STOPPED, False)


# --- images -----------------------------------------------------------------------------------------------------------


async def test_a_missing_image_is_named_by_create_which_leaves_nothing(bench: Bench, runtime: Runtime) -> None:
    missing = "sha256:" + "0" * 64
    with pytest.raises(ImageMissing, match=missing):
        await runtime.create(bench.blueprint(image=missing))
    assert await runtime.get("alice") == absent("alice")
    assert await runtime.resolve_image(missing) is None


async def test_an_image_that_is_here_resolves_to_its_id(bench: Bench, runtime: Runtime) -> None:
    image = bench.blueprint().image
    assert await runtime.resolve_image(image) == image


# --- looking inside ---------------------------------------------------------------------------------------------------


async def test_run_tells_output_and_exit_code(bench: Bench, runtime: Runtime) -> None:
    instance = await bench.started()
    ended = await runtime.run(instance, ["sh", "-c", "echo out; echo err >&2; exit 3"], timeout_s=10)
    assert ended.exit_code == 3
    assert sorted(ended.output.split()) == [b"err", b"out"]


async def test_nothing_runs_in_one_that_doesnt(bench: Bench, runtime: Runtime) -> None:
    instance = await bench.started()
    await runtime.stop(instance, grace_s=5)
    with pytest.raises(RuntimeFault):
        await runtime.run(instance, ["true"], timeout_s=5)


async def test_logs_come_oldest_first_with_their_stream(bench: Bench, runtime: Runtime) -> None:
    instance = await bench.started()
    lines = [line async for line in runtime.logs(instance)]
    found = {line.text: line.stream for line in lines}
    assert found == {"serving on 8080": "stdout", "a word on the other stream": "stderr"}
    assert all(line.at.tzinfo for line in lines)
    last = max(line.at for line in lines)
    assert len([line async for line in runtime.logs(instance, tail=1)]) == 1
    assert len([line async for line in runtime.logs(instance, tail=0)]) == 0
    after = [line async for line in runtime.logs(instance, since=last + timedelta(seconds=1))]
    assert after == []
    assert [line async for line in runtime.logs(instance, since=last - timedelta(hours=1))] == lines


async def test_following_ends_when_the_instance_does(bench: Bench, runtime: Runtime) -> None:
    instance = await bench.started()
    first = asyncio.Event()

    async def follow() -> list[str]:
        lines = []
        async for line in runtime.logs(instance, follow=True):
            lines.append(line.text)
            first.set()
        return lines

    async with asyncio.TaskGroup() as group:
        following = group.create_task(follow())
        await first.wait()
        await runtime.stop(instance, grace_s=5)
    assert len(following.result()) == 2


async def test_usage_is_read_while_it_runs_or_is_paused(bench: Bench, runtime: Runtime) -> None:
    instance = await bench.started()
    usage = await runtime.usage(instance)
    assert 0 < usage.memory_bytes <= 64 * 1024 * 1024
    assert 0 < usage.rss_bytes <= usage.memory_bytes
    assert usage.pids >= 1
    await runtime.pause(instance)
    assert (await runtime.usage(instance)).memory_bytes > 0
    await runtime.unpause(instance)
    await runtime.stop(instance, grace_s=5)
    with pytest.raises(RuntimeFault):
        await runtime.usage(instance)


async def test_processor_time_is_given_and_taken_back_whether_it_runs_or_not(bench: Bench, runtime: Runtime) -> None:
    instance = await runtime.create(bench.blueprint())
    usual = instance.cpus
    assert usual is not None
    await runtime.set_cpus(instance, usual + 0.5)
    assert (await runtime.get("alice")).cpus == usual + 0.5
    await runtime.start(instance)
    await runtime.set_cpus(instance, usual)
    assert (await runtime.get("alice")).cpus == usual


async def test_what_is_lacking_has_a_reason(runtime: Runtime) -> None:
    lacking = await runtime.lacks()
    assert not lacking.keys() & {Rung.RUNNING, Rung.PAUSED, Rung.STOPPED}
    assert all(lacking.values())


async def test_a_page_out_is_measured_or_says_why_not(bench: Bench, runtime: Runtime) -> None:
    instance = await bench.started()
    for paused in (False, True):
        if paused:
            await runtime.pause(instance)
        paged = await runtime.page_out(instance)
        assert paged.skipped or 0 < paged.after_bytes <= paged.before_bytes
    await runtime.unpause(instance)
    await runtime.stop(instance, grace_s=5)
    assert (await runtime.page_out(instance)).skipped == "it isn't running"


# --- events -----------------------------------------------------------------------------------------------------------


async def test_events_tell_what_happened_to_whom(bench: Bench, runtime: Runtime) -> None:
    events = runtime.events()
    begun = await anext(events)
    assert begun.tenant == ""
    instance = await bench.started("bob")
    await runtime.pause(instance)
    await runtime.unpause(instance)
    await runtime.remove(instance)
    told = []
    async for event in events:
        assert event.tenant == "bob"
        told.append(event.action)
        if event.action == "destroy":
            break
    # A busy Engine tells of a pause and its end twice: once as it acts, once more when containerd's word arrives late.
    once = list(dict.fromkeys(action for action in told if action != "die"))
    assert once == ["create", "start", "pause", "unpause", "destroy"]


# --- the network ------------------------------------------------------------------------------------------------------


async def test_every_slot_has_a_place_of_its_own_and_keeps_it(runtime: Runtime) -> None:
    places = {slot: await runtime.place(slot) for slot in (0, 1, 499, 500, 1234)}
    assert len({place.address for place in places.values()}) == len(places)
    assert places[0].network == places[499].network
    assert places[499].network != places[500].network
    assert places[0].gateway == places[499].gateway != places[500].gateway
    assert {slot: await runtime.place(slot) for slot in places} == places


async def test_networks_stand_from_create_to_prune(bench: Bench, runtime: Runtime) -> None:
    near = await runtime.create(bench.blueprint("near", slot=3))
    far = await runtime.create(bench.blueprint("far", slot=501))
    standing = await runtime.places()
    wanted = [await runtime.place(3), await runtime.place(501)]
    assert [(place.network, place.gateway) for place in standing] == [
        (place.network, place.gateway) for place in wanted
    ]
    assert {place.address for place in standing} == {""}
    await runtime.remove(near)
    await runtime.prune([501])
    assert [place.network for place in await runtime.places()] == [wanted[1].network]
    await runtime.remove(far)
    await runtime.prune([])
    assert list(await runtime.places()) == []


# --- many at once, and none at all ------------------------------------------------------------------------------------


async def test_different_tenants_are_worked_on_at_once(bench: Bench, runtime: Runtime) -> None:
    async def live(slot: int) -> None:
        instance = await bench.started(f"tenant-{slot}", slot=slot)
        await runtime.pause(instance)
        await runtime.unpause(instance)
        await runtime.stop(instance, grace_s=5)
        await runtime.remove(instance)

    async with asyncio.TaskGroup() as group:
        for slot in range(6):
            group.create_task(live(slot))
    assert list(await runtime.all()) == []


async def test_everything_says_so_when_it_is_down_and_works_when_it_is_back(bench: Bench, runtime: Runtime) -> None:
    instance = await bench.started()
    events = runtime.events()
    await anext(events)
    await bench.go_down()
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: runtime.get("alice"),
        runtime.all,
        lambda: runtime.create(bench.blueprint("bob", slot=1)),
        lambda: runtime.start(instance),
        lambda: runtime.stop(instance, grace_s=1),
        lambda: runtime.pause(instance),
        lambda: runtime.unpause(instance),
        lambda: runtime.remove(instance),
        lambda: runtime.run(instance, ["true"], timeout_s=1),
        lambda: runtime.usage(instance),
        lambda: anext(aiter(runtime.logs(instance))),
        lambda: runtime.prune([0]),
        runtime.places,
        lambda: runtime.resolve_image(bench.blueprint().image),
        runtime.check,
    ]
    for call in calls:
        with pytest.raises(RuntimeUnavailable):
            await call()
    await bench.come_back()
    async for event in events:
        if event.action == "reconnected":
            assert event.tenant == ""
            break
    assert await runtime.get("alice") == instance
    assert await runtime.check()
