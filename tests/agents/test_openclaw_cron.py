"""How often OpenClaw's jobs were due."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from innkeeper.agents.openclaw_cron import COUNTED_AT_MOST, at_rest, times_due

SINCE = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
UNTIL = datetime(2026, 11, 21, 3, 30, tzinfo=UTC)


def job(**schedule: object) -> dict[str, object]:
    return {"id": "j", "enabled": True, "schedule": schedule}


@pytest.mark.parametrize(
    ("given", "times"),
    [
        (job(kind="cron", expr="0 * * * *"), 25),
        (job(kind="cron", expr="0 3 * * *"), 2),
        (job(kind="cron", expr="0 4 * * *", tz="Europe/Berlin"), 2),
        (job(kind="cron", expr="0 3 * * *", tz="Europe/Berlin"), 1),
        (job(kind="cron", expr="0 0 1 1 *"), 0),
        (job(kind="every", everyMs=3_600_000), 25),
        (job(kind="every", everyMs=1), COUNTED_AT_MOST),
        (job(kind="every", everyMs=0), 0),
        (job(kind="at", atMs=1795230000000), 0),
        (job(kind="cron", expr="nonsense"), 0),
        (job(kind="cron", expr="0 * * * *", tz="Europe/Atlantis"), 0),
        (job(kind="cron", expr="0 * * * *") | {"enabled": False}, 0),
        ({"id": "j"}, 0),
        ("nonsense", 0),
    ],
)
def test_each_kind_of_schedule(given: object, times: int) -> None:
    assert times_due([given], SINCE, UNTIL) == ({"j": times} if times else {})


def test_who_is_at_rest() -> None:
    now_ms = int(UNTIL.timestamp() * 1000)
    jobs: list[object] = [
        {"id": "waits", "nextRunAtMs": now_ms + 1},
        {"id": "never again", "nextRunAtMs": None},
        {"id": "due", "nextRunAtMs": now_ms},
        {"id": "runs", "nextRunAtMs": now_ms + 1, "runningAtMs": now_ms - 5},
        {"id": "off", "enabled": False},
        {"id": 7},
        "nonsense",
    ]
    assert at_rest(jobs, UNTIL) == {"waits": True, "never again": True, "due": False, "runs": False}
