"""Tenants that run give up what they touched only at boot, and don't miss it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiodocker
import pytest

from tests.e2e.conftest import have_image
from tests.host.own_swap import zram_swap
from tests.support.installation import installed

pytestmark = [pytest.mark.docker, pytest.mark.openclaw, pytest.mark.timeout(600)]


async def charged_by_kernel(container: dict[str, Any]) -> dict[str, int]:
    """What the kernel says of a container's memory, in bytes; asked here, not of the code under test."""
    found = sorted(Path("/sys/fs/cgroup").rglob(f"*{container['Id']}*/memory.stat"))
    assert found, "the container has no memory cgroup"
    text = await asyncio.to_thread(found[0].read_text)
    return {name: int(value) for name, value in (line.split() for line in text.splitlines())}


@pytest.mark.soak
async def test_three_openclaws_that_were_trimmed_take_less_than_one(docker: aiodocker.Docker, tmp_path: Path) -> None:
    async with zram_swap(tmp_path), installed(INNKEEPER_SWEEP_S="1", INNKEEPER_TRIM_AFTER_S="10") as inn:
        await have_image(inn, "openclaw")
        names = ("oc1", "oc2", "oc3")
        whole = 0
        for name in names:  # one after the other: the machine has two cores
            await inn.create(name, agent="openclaw")
            whole = max(whole, (await inn.show(name))["memory"]["rss_mb"])
        memory: dict[str, dict[str, int]] = {}
        async with asyncio.timeout(300):
            while not (memory and all(each["swap_mb"] > each["resident_mb"] for each in memory.values())):
                await asyncio.sleep(0.5)
                documents = {name: await inn.show(name) for name in names}
                memory = {name: document["memory"] for name, document in documents.items()}
        assert all((each["state"], each["ready"]) == ("running", True) for each in documents.values())
        assert sum(each["resident_mb"] for each in memory.values()) < whole
        assert all(0 < each["zram_mb"] < each["swap_mb"] for each in memory.values()), "compressed, and counted"
        for container in await inn.containers(docker):
            name = container["Config"]["Hostname"]
            swapped_mb = (await charged_by_kernel(container))["swap"] >> 20
            assert abs(swapped_mb - (await inn.show(name))["memory"]["swap_mb"]) <= 0.1 * swapped_mb + 16
        for name in names:
            answered = await inn.cli("tenant", "chat", name, "are you there?")
            assert answered.returncode == 0, answered.stderr
            assert "demo model" in answered.stdout
