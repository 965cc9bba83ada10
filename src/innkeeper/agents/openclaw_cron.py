"""OpenClaw's jobs: how often each was due in a stretch of time, by its schedule, and which are at rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

COUNTED_AT_MOST = 1000
"""A job that was due more often was due often enough."""


def times_due(jobs: Sequence[object], since: datetime, until: datetime) -> Mapping[str, int]:
    """By the id of each enabled job that recurs; what can't be read counts for nothing."""
    found = {}
    for job in jobs:
        if not isinstance(job, dict) or job.get("enabled") is False or not isinstance(job.get("id"), str):
            continue
        schedule = job.get("schedule")
        times = _times(schedule, since, until) if isinstance(schedule, dict) else 0
        if times:
            found[job["id"]] = times
    return found


def at_rest(jobs: Sequence[object], now: datetime) -> Mapping[str, bool]:
    """By the id of each enabled job: whether it is neither due nor under way."""
    found, now_ms = {}, now.timestamp() * 1000
    for job in jobs:
        if not isinstance(job, dict) or job.get("enabled") is False or not isinstance(job.get("id"), str):
            continue
        next_ms = job.get("nextRunAtMs")
        is_due = isinstance(next_ms, int | float) and next_ms <= now_ms
        found[job["id"]] = not is_due and job.get("runningAtMs") is None
    return found


def _times(schedule: Mapping[str, object], since: datetime, until: datetime) -> int:
    match schedule.get("kind"), schedule.get("expr"), schedule.get("everyMs"):
        case "cron", str(expression), _:
            due = _moments(expression, schedule.get("tz"), since)
            return sum(1 for moment in islice(due, COUNTED_AT_MOST) if moment <= until)
        case "every", _, int(every_ms) | float(every_ms) if every_ms > 0:
            return min(COUNTED_AT_MOST, int((until - since) / timedelta(milliseconds=every_ms)) + 1)
    return 0


def _moments(expression: str, zone: object, since: datetime) -> Iterator[datetime]:
    try:
        local = since.astimezone(ZoneInfo(zone) if isinstance(zone, str) and zone else UTC)
        yield from (moment for moment in CronSim(expression, local - timedelta(seconds=1)))
    except (CronSimError, OSError, ValueError, KeyError, StopIteration):
        return
