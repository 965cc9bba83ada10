"""One real Caddy for all tests that only pass through it: it never changes, whatever gates and tenants do."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from innkeeper.edge.caddy import Caddy
from innkeeper.edge.caddy_config import EdgePlan
from tests.edge.house import Stage, stage
from tests.support.serving import free_port


def plan_in(run: Path) -> EdgePlan:
    """A plan on a port of its own."""
    return EdgePlan(host="127.0.0.1", port=free_port(), run=run, wake_deadline_s=20)


@pytest.fixture(scope="session")
def run_for_all() -> Iterator[Path]:
    """The common Caddy's folder; its path is short, as sockets need it."""
    run = Path(tempfile.mkdtemp(prefix="edge-"))
    yield run
    shutil.rmtree(run)


@pytest.fixture
def run() -> Iterator[Path]:
    """A folder for a Caddy of the test's own."""
    run = Path(tempfile.mkdtemp(prefix="edge-"))
    yield run
    shutil.rmtree(run)


@pytest.fixture
def plan(run: Path) -> EdgePlan:
    """A plan of the test's own."""
    return plan_in(run)


@pytest.fixture
async def caddy(plan: EdgePlan) -> AsyncIterator[Caddy]:
    """A Caddy of the test's own, not started yet; at the end it is stopped."""
    caddy = Caddy(plan)
    yield caddy
    await caddy.stop()


@pytest.fixture(scope="session")
def common_plan(run_for_all: Path) -> Iterator[EdgePlan]:
    """The plan of the common Caddy, which runs."""
    plan = plan_in(run_for_all)
    caddy = Caddy(plan)
    asyncio.run(caddy.start())
    yield plan
    asyncio.run(caddy.stop())


@pytest.fixture
async def edge(common_plan: EdgePlan) -> AsyncIterator[Stage]:
    """The common Caddy with a fresh gate under it."""
    async with stage(port=common_plan.port, run=common_plan.run) as made:
        yield made
