"""Images built through the API, with their progress streamed."""

from __future__ import annotations

import asyncio

from innkeeper.core.errors import ImageBuildFailed
from tests.api.bench import Bench
from tests.api.listening import stream, upto


async def test_a_build_tells_its_progress_and_records_the_release(bench: Bench, url: str) -> None:
    async with stream(bench, url, "/v1/releases/build", {"agent": "plain", "version": "3.1"}) as events:
        seen = [event async for event in events]
    assert [name for name, _ in seen] == ["progress", "progress", "release"]
    assert seen[-1][1] | {"created_at": ""} == {
        "agent": "plain",
        "version": "3.1",
        "image": "sha256:built",
        "source": "auto",
        "size_mb": 7,
        "created_at": "",
    }
    async with bench.client() as api:
        releases = (await api.get("/v1/releases?agent=plain")).json()["items"]
        assert [release["version"] for release in releases] == ["3.1", "1.0"]
        agents = (await api.get("/v1/agents")).json()["items"]
        assert [(agent["name"], agent["releases"]) for agent in agents] == [("plain", ["3.1", "1.0"])]


async def test_a_build_that_fails_says_why(bench: Bench, url: str) -> None:
    bench.builds.problem = ImageBuildFailed("npm says no.", hint="Ask npm.")
    async with stream(bench, url, "/v1/releases/build", {"agent": "plain"}) as events:
        seen = [event async for event in events]
    assert seen[-1][0] == "error"
    assert (seen[-1][1]["code"], seen[-1][1]["detail"]) == ("image_build_failed", "npm says no.")


async def test_a_build_nobody_waits_for_is_stopped(bench: Bench, url: str) -> None:
    bench.builds.hold = asyncio.Event()
    async with stream(bench, url, "/v1/releases/build", {"agent": "plain"}) as events:
        await upto(events, "progress")
    async with asyncio.timeout(10):
        await bench.builds.cancelled.wait()


async def test_a_build_that_talks_more_than_anybody_reads_loses_the_oldest_lines(bench: Bench, url: str) -> None:
    bench.builds.lines = [f"line {number}" for number in range(10_000)]
    async with stream(bench, url, "/v1/releases/build", {"agent": "plain"}) as events:
        seen = [event async for event in events]
    assert seen[-1][0] == "release"
    assert seen[-2][1] == {"says": "line 9999"}
    assert len(seen) < 1000


async def test_a_build_of_what_there_isnt_is_refused(bench: Bench, url: str) -> None:
    async with bench.client() as api:
        answer = await api.post("/v1/releases/build", json={"agent": "skynet"})
        assert (answer.status_code, answer.json()["code"]) == (400, "unknown_agent")
        answer = await api.post("/v1/releases/build", json={"agent": "plain", "source": "the moon"})
        assert (answer.status_code, answer.json()["field"]) == (400, "source")
