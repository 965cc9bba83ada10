"""Whatever is thrown at the API, by its own description and beside it: no bug of ours, no answer off the record."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from innkeeper.api.app import openapi
from tests.api.bench import Bench, opened
from tests.support.serving import serving

schema = schemathesis.openapi.from_dict(openapi())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Bench]]:
    """The API on a real socket, in a thread with a loop of its own, for the tool is synchronous."""
    ready: list[tuple[str, Bench]] = []
    started, over = threading.Event(), threading.Event()

    async def serve() -> None:
        async with opened(tmp_path_factory.mktemp("data")) as bench, serving(bench.app) as url:
            await bench.tenant("alice")
            bench.inn.stopping.set()  # streams and waits end at once
            ready.append((url, bench))
            started.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert started.wait(30)
    yield ready[0]
    over.set()
    thread.join()


@schema.parametrize()
@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_finds_a_bug(case: schemathesis.Case[Any], served: tuple[str, Bench]) -> None:
    url, bench = served
    headers = {"Authorization": f"Bearer {bench.admin_token}"}
    response = case.call(base_url=url, headers=headers, timeout=20)
    assert response.status_code != 500, response.text
    case.validate_response(
        response, checks=[status_code_conformance, content_type_conformance, response_schema_conformance]
    )
