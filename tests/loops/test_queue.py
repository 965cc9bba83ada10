"""The keyed queue: duplicates merge, no key twice at once, failures come back later and later."""

from __future__ import annotations

import asyncio

import pytest

from innkeeper.loops.queue import KeyedQueue

pytestmark = pytest.mark.looptime


async def test_duplicates_merge() -> None:
    queue = KeyedQueue()
    for _ in range(100):
        queue.add("a")
    assert len(queue) == 1
    assert await queue.get() == "a"
    assert len(queue) == 0


async def test_a_key_that_is_worked_on_waits_until_it_is_done() -> None:
    queue = KeyedQueue()
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0
    queue.done("a")
    assert await queue.get() == "a"
    queue.done("a")
    assert len(queue) == 0


async def test_first_come_first_served() -> None:
    queue = KeyedQueue()
    for key in "cab":
        queue.add(key)
    assert [await queue.get() for _ in range(3)] == ["c", "a", "b"]


async def test_failures_come_back_later_and_later() -> None:
    queue = KeyedQueue(first_delay_s=1, longest_delay_s=10)
    clock = asyncio.get_running_loop().time
    queue.add("a")
    delays = []
    for _ in range(6):
        await queue.get()
        queue.failed("a")
        before = clock()
        assert await queue.get() == "a"
        delays.append(clock() - before)
        queue.put_back("a", 0)
    assert delays == pytest.approx([1, 2, 4, 8, 10, 10])


async def test_success_makes_failures_forgotten() -> None:
    queue = KeyedQueue(first_delay_s=1)
    queue.add("a")
    for _ in range(3):
        await queue.get()
        queue.failed("a")
    assert queue.failures("a") == 3
    await queue.get()
    queue.done("a")
    assert queue.failures("a") == 0


async def test_an_event_ends_the_wait_of_a_failed_key() -> None:
    queue = KeyedQueue(first_delay_s=3600)
    queue.add("a")
    await queue.get()
    queue.failed("a")
    queue.add("a")
    assert await queue.get() == "a"
    assert asyncio.get_running_loop().time() < 1


async def test_an_event_ends_a_nap_and_is_answered_by_it() -> None:
    queue = KeyedQueue()
    queue.add("a")
    await queue.get()
    nap = queue.nap("a")
    asyncio.get_running_loop().call_later(5, queue.add, "a")
    await nap(3600)
    assert asyncio.get_running_loop().time() == pytest.approx(5)
    queue.done("a")
    assert len(queue) == 0, "the nap's end was the second look already"


async def test_a_nap_without_an_event_lasts() -> None:
    queue = KeyedQueue()
    queue.add("a")
    await queue.get()
    await queue.nap("a")(30)
    assert asyncio.get_running_loop().time() == pytest.approx(30)


async def test_workers_share_the_keys_and_a_cancelled_one_loses_none() -> None:
    queue = KeyedQueue()
    first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    first.cancel()
    assert await asyncio.wait_for(second, 1) == "a"


async def test_no_key_is_ever_worked_on_twice_at_once() -> None:
    queue, working, done = KeyedQueue(), set[str](), 0

    async def work() -> None:
        nonlocal done
        while True:
            key = await queue.get()
            assert key not in working
            working.add(key)
            await asyncio.sleep(0.1)
            working.discard(key)
            queue.done(key)
            done += 1

    workers = [asyncio.create_task(work()) for _ in range(5)]
    for number in range(200):
        queue.add(f"key-{number % 7}")
        await asyncio.sleep(0.01)
    await asyncio.sleep(5)
    assert not any(worker.done() for worker in workers)
    assert 7 <= done <= 200
    for worker in workers:
        worker.cancel()


async def test_a_key_can_be_taken_out_of_turn_but_never_from_whoever_works_on_it() -> None:
    queue = KeyedQueue()
    queue.add("a")
    queue.add("b")
    assert queue.take("b")
    assert not queue.take("b")
    assert await queue.get() == "a"
    assert not queue.take("a")
    queue.add_later("c", 0.01)
    assert queue.take("c")
    queue.done("b")
    queue.done("c")
    await asyncio.sleep(0.02)
    assert len(queue) == 0, "what was taken doesn't come again"
    assert queue.take("d")
    queue.add("d")
    queue.done("d")
    assert await queue.get() == "d", "what was added meanwhile does"


async def test_a_hint_is_followed_but_never_cuts_a_failure_s_delay_short() -> None:
    queue = KeyedQueue(first_delay_s=0.02)
    queue.hint("alice")
    assert await queue.get() == "alice"
    queue.hint("alice")  # what the work itself does comes back as news
    assert queue.failed("alice") == 0.02
    assert len(queue) == 0
    queue.hint("alice")  # and may be late
    assert len(queue) == 0
    async with asyncio.timeout(1):
        assert await queue.get() == "alice"
    queue.hint("alice")
    queue.done("alice")
    assert len(queue) == 1, "it went well, so what was heard meanwhile is worth another look"
