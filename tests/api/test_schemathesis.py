"""Whatever is thrown at the API, by its own description and beside it, as everybody there is: no bug of ours, no answer
off the record, and none that is another's."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from requests import Session
from schemathesis.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from innkeeper.api.app import openapi
from tests.api.bench import opened
from tests.api.canaries import AMY, BEN, CANARIES, MARK, MIXED, SAID, SEALED, Headers, Town, town
from tests.support.serving import serving

schema = schemathesis.openapi.from_dict(openapi())
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]


@schemathesis.serializer("application/x-tar")
def as_a_tar(ctx: object, value: object) -> bytes:
    """What is sent where a tar belongs: anything but one."""
    return str(value).encode(errors="replace")


READS = [path for path, methods in openapi()["paths"].items() if "get" in methods]


def bounded(examples: int, *phases: Phase) -> settings:
    """So many examples of each operation, the same in every run."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )


class Served:
    """The API on a real socket, and who comes to it."""

    def __init__(self, url: str, town: Town, session: Session) -> None:
        self.url = url
        self.town = town
        self._session = session

    def ask(self, case: schemathesis.Case[Any], headers: Headers, *, about: str | None = None) -> str:
        """The answer's text and headers, which are in order; `about` puts their names into path and query."""
        before = dict(case.path_parameters), dict(case.query)
        if about is not None:
            case.path_parameters.update(_known(self.town.things[about], before[0]))
            case.query.update(_known({"tenant": self.town.things[about]["name"]}, before[1]))
        try:
            response = case.call(base_url=self.url, session=self._session, headers=dict(headers), timeout=20)
            assert response.status_code != 500, response.text
            case.validate_response(response, checks=CHECKS)
        finally:
            case.path_parameters, case.query = before
        return f"{response.headers}\n{response.text}"

    def read(self, path: str, headers: Headers, *, about: str) -> str:
        """What a plain GET says."""
        things = self.town.things[about]
        url = self.url + re.sub(r"\{(\w+)\}", lambda found: things[found[1]], path)
        return self._session.get(url, headers=dict(headers), timeout=20).text


def _known(things: Mapping[str, str], asked: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in things.items() if name in asked}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """In a thread with a loop of its own, for the tool is synchronous."""
    ready: list[tuple[str, Town]] = []
    started, over = threading.Event(), threading.Event()

    async def serve() -> None:
        async with opened(tmp_path_factory.mktemp("data")) as bench, serving(bench.app) as url:
            there = await town(bench)
            bench.inn.stopping.set()  # streams and waits end at once
            ready.append((url, there))
            started.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert started.wait(30)
        with Session() as session:
            yield Served(*ready[0], session)
    finally:
        over.set()
        thread.join()


@schema.parametrize()
@bounded(4, Phase.explicit, Phase.generate)
def test_no_request_finds_a_bug(case: schemathesis.Case[Any], served: Served) -> None:
    served.ask(case, served.town.admin)


@schema.parametrize()
@bounded(1, Phase.generate)
def test_nobody_gets_what_is_anothers(case: schemathesis.Case[Any], served: Served) -> None:
    everybody_asks(case, served)


@pytest.mark.long
@schema.parametrize()
@bounded(5, Phase.generate)
def test_nobody_gets_what_is_anothers_whatever_they_ask(case: schemathesis.Case[Any], served: Served) -> None:
    everybody_asks(case, served)


def test_it_was_there_all_the_time(served: Served) -> None:
    admin, owner = [
        "".join(served.read(path, headers, about=BEN) for path in READS)
        for headers in (served.town.admin, served.town.bens)
    ]
    assert {canary for canary in CANARIES if canary not in admin} == SEALED
    assert {canary for canary in CANARIES if canary not in owner} == SEALED
    for name, headers in served.town.amys.items():
        said, role = served.read("/v1/me", headers, about=AMY), "member" if name == "key" else name.partition(",")[0]
        assert (f'"tenants":{{"{AMY}":"{role}"}}' in said) is not name.startswith("nobody")


def everybody_asks(case: schemathesis.Case[Any], served: Served) -> None:
    """The same of everybody: as it was made up, and about tenants that there are."""
    town = served.town
    aims = [None, AMY, BEN, MIXED] if set(case.path_parameters) | set(case.query) & {"tenant"} else [None]
    for headers in town.amys.values():
        for aim in aims:
            assert MARK not in served.ask(case, headers, about=aim)
    if case.method != "GET":  # there is nothing else to be read, and much to be broken
        aims = [None]
    for headers, unseen in ((town.admin, SEALED), (town.operator, SEALED), (town.auditor, SEALED | SAID)):
        for aim in aims:
            answer = served.ask(case, headers, about=aim)
            assert {canary for canary in unseen if canary in answer} == set()
