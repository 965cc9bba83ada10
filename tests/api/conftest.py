from __future__ import annotations

import io
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest
import structlog

from innkeeper.telemetry import set_up_logs
from tests.api.bench import Bench, opened
from tests.support.serving import serving


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened(tmp_path) as bench:
        yield bench


@pytest.fixture
async def api(bench: Bench) -> AsyncIterator[httpx2.AsyncClient]:
    """A client with the admin token."""
    async with bench.client() as client:
        yield client


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What is logged from here on, as JSON."""
    root = logging.getLogger()
    before = list(root.handlers), root.level
    stream = io.StringIO()
    set_up_logs(level="info", form="json", stream=stream)
    yield stream
    root.handlers, root.level = before
    structlog.reset_defaults()


@pytest.fixture
async def url(bench: Bench) -> AsyncIterator[str]:
    """The API on a real socket, with a tenant."""
    await bench.tenant()
    async with serving(bench.app) as url:
        yield url
