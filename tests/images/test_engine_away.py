"""Without the Engine there is a clear error; this needs no Engine."""

from __future__ import annotations

from pathlib import Path

import aiodocker
import pytest

from innkeeper.core.errors import RuntimeUnavailable
from innkeeper.images import ImageBuilder


async def test_building_and_listing_say_that_the_engine_is_away(tmp_path: Path) -> None:
    async with aiodocker.Docker(f"unix://{tmp_path}/docker.sock") as docker:
        builder = ImageBuilder(docker=docker, work_dir=tmp_path / "work")
        with pytest.raises(RuntimeUnavailable):
            await builder.build("nanobot", progress=lambda _: None)
        with pytest.raises(RuntimeUnavailable):
            await builder.list()
    assert not (tmp_path / "work").exists()
