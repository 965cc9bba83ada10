"""What end-to-end tests share: a whole Innkeeper on real Docker, with images that are built where they are missing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiodocker
import pytest

from tests.support.installation import Installation, installed


@pytest.fixture
async def inn() -> AsyncIterator[Installation]:
    """An Innkeeper of the test's own."""
    async with installed() as installation:
        yield installation


@pytest.fixture
async def docker() -> AsyncIterator[aiodocker.Docker]:
    """The Engine."""
    async with aiodocker.Docker(url="unix:///var/run/docker.sock") as engine:
        yield engine


async def have_image(inn: Installation, agent: str) -> None:
    """See that the agent's image is built and recorded here."""
    done = await inn.cli("image", "build", agent)
    assert done.returncode == 0, done.stderr
