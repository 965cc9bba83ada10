"""Reading what the Engine says of a container."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from innkeeper.core.instance import State
from innkeeper.runtimes.docker_container import instance_of, is_leaving, is_ours

NEVER = "0001-01-01T00:00:00Z"
STARTED = "2026-11-20T05:59:05.727878683Z"


def shown(status: str, *, exit_code: int = 0, started_at: str = STARTED) -> dict[str, Any]:
    found = {
        "innkeeper.namespace": "inn",
        "innkeeper.tenant": "alice",
        "innkeeper.tenant-id": "t-1",
        "innkeeper.revision": "3",
    }
    return {
        "Id": "abc",
        "RestartCount": 2,
        "State": {"Status": status, "ExitCode": exit_code, "StartedAt": started_at, "OOMKilled": exit_code == 137},
        "Config": {"Labels": found},
        "HostConfig": {"NanoCpus": 1_500_000_000},
    }


@pytest.mark.parametrize(
    ("status", "state", "stuck"),
    [
        ("created", State.STOPPED, False),
        ("running", State.RUNNING, False),
        ("restarting", State.RUNNING, True),
        ("paused", State.PAUSED, False),
        ("exited", State.STOPPED, False),
        ("dead", State.STOPPED, False),
        ("removing", State.STOPPED, False),
    ],
)
def test_states(status: str, state: State, stuck: bool) -> None:
    instance = instance_of(shown(status))
    assert (instance.state, instance.stuck) == (state, stuck)
    assert is_leaving(shown(status)) == (status == "removing")


def test_all_of_it() -> None:
    instance = instance_of(shown("exited", exit_code=137))
    assert (instance.tenant, instance.tenant_id, instance.revision, instance.id) == ("alice", "t-1", 3, "abc")
    assert (instance.restarts, instance.exit_code, instance.out_of_memory) == (2, 137, True)
    assert instance.started_at == datetime(2026, 11, 20, 5, 59, 5, 727878, tzinfo=UTC)


def test_an_exit_code_is_only_told_of_what_has_ended() -> None:
    assert instance_of(shown("running")).exit_code is None
    assert instance_of(shown("created", started_at=NEVER)).exit_code is None
    assert instance_of(shown("restarting", exit_code=78)).exit_code == 78


def test_what_never_started_has_no_start() -> None:
    assert instance_of(shown("created", started_at=NEVER)).started_at is None


def test_labels_decide_whose_it_is() -> None:
    assert is_ours(shown("running"), "inn", "alice")
    assert not is_ours(shown("running"), "inn", "bob")
    assert not is_ours(shown("running"), "other", "alice")
    assert not is_ours({"Config": {"Labels": None}}, "inn", "alice")


def test_a_label_that_somebody_meddled_with_does_no_harm() -> None:
    meddled = shown("running")
    meddled["Config"]["Labels"]["innkeeper.revision"] = "many"
    assert instance_of(meddled).revision == 0
