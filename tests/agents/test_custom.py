"""The agent that the spec describes."""

from __future__ import annotations

import json

import pytest

from innkeeper.agents.custom import Custom
from innkeeper.core.errors import InvalidSpec
from innkeeper.core.tenant import CustomAgent
from tests.agents.seats import BROKER_TOKEN, seat_for, spec_for

AGENT = Custom()
SPEC = spec_for(
    AGENT, custom=CustomAgent(image="i", port=81, health_path="/up", command=("serve", "--all"), mount="/srv/data")
)


def test_it_is_as_the_spec_says() -> None:
    assert AGENT.command(SPEC) == ("serve", "--all")
    assert AGENT.mount(SPEC) == "/srv/data"
    assert (AGENT.probe(SPEC).port, AGENT.probe(SPEC).path) == (81, "/up")
    assert AGENT.entrance(SPEC, "t").port == 81
    assert AGENT.chat_model(SPEC) is None


def test_it_finds_the_description_of_its_seat() -> None:
    [file] = AGENT.render(seat_for(AGENT), {".innkeeper/seat.json": b"whatever was there"})
    assert AGENT.env(SPEC)["INNKEEPER_SEAT"] == f"/srv/data/{file.path}"
    seat = json.loads(file.content)
    assert seat["broker_url"] == "http://10.9.0.1:8701"
    assert seat["broker_token"] == BROKER_TOKEN
    assert BROKER_TOKEN not in str(AGENT.env(SPEC))


@pytest.mark.parametrize(("status", "ready"), [(200, True), (204, True), (302, True), (404, False), (503, False)])
def test_any_answer_but_an_error_is_ready(status: int, ready: bool) -> None:
    assert AGENT.is_ready(status, b"") is ready


def test_without_a_description_there_is_nothing_to_run() -> None:
    with pytest.raises(InvalidSpec):
        AGENT.command(spec_for(AGENT))
