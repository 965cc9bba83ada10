"""When a tenant is kept awake, as its operator says it: `awake 08:00-18:00 Mon-Fri Europe/Berlin`.

Times are those of a wall clock in that zone, daylight saving included. A window that ends before it begins goes on
into the next day; its day is the one on which it begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from innkeeper.core.errors import InvalidSpec

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TO = "[-\u2013\u2014]"
"""A hyphen, or the dash that writing programs make of it."""
_DAY = f"(?:{'|'.join(_DAYS)})"
_SPAN = rf"{_DAY}(?:\s*{_TO}\s*{_DAY})?"
_FORM = re.compile(
    rf"awake\s+(\d{{1,2}}:\d{{2}})\s*{_TO}\s*(\d{{1,2}}:\d{{2}})"
    rf"(?:\s+({_SPAN}(?:\s*,\s*{_SPAN})*))?"
    r"(?:\s+(\S+))?",
    re.IGNORECASE,
)
_HINT = "Like `awake 08:00-18:00 Mon-Fri Europe/Berlin`; days and zone may be left out (every day, UTC)."
_MIDNIGHT = "24:00"
"""As an end, that with which the day ends."""
SCHEDULES_MAX = 20
_FIELD = "sleep.schedule"


@dataclass(frozen=True, kw_only=True)
class Window:
    """One line of a schedule."""

    begins: time
    ends: time
    days: frozenset[int]
    """0 is Monday."""
    zone: ZoneInfo

    def around(self, now: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Begin and end, in UTC, of each time that it opens from yesterday to a week ahead."""
        today = now.astimezone(self.zone).date()
        for offset in range(-1, 8):
            day = today + timedelta(days=offset)
            if day.weekday() in self.days:
                last_day = day if self.ends > self.begins else day + timedelta(days=1)
                begins = datetime.combine(day, self.begins, self.zone)
                ends = datetime.combine(last_day, self.ends, self.zone)
                yield begins.astimezone(UTC), ends.astimezone(UTC)


@lru_cache(maxsize=4096)
def parse(text: str) -> Window:
    """The window that a line means, or InvalidSpec."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise InvalidSpec(f"{text[:80]!r} can't be read as a schedule.", field=_FIELD, hint=_HINT)
    begins, ends = _time(found[1], text), _time(found[2], text, is_end=True)
    if begins == ends and found[2] != _MIDNIGHT:
        raise InvalidSpec(
            f"{text[:80]!r} never matches: it ends when it begins.",
            field=_FIELD,
            hint="For the whole day say 00:00-24:00, or set `wanted` to `awake`.",
        )
    return Window(begins=begins, ends=ends, days=_days(found[3]), zone=_zone(found[4] or "UTC"))


def check(lines: Sequence[str]) -> None:
    """InvalidSpec for the first line that doesn't hold."""
    if len(lines) > SCHEDULES_MAX:
        raise InvalidSpec(f"{len(lines)} schedules are too many.", field=_FIELD, hint=f"At most {SCHEDULES_MAX}.")
    for line in lines:
        parse(line)


def awake_until(lines: Sequence[str], now: datetime) -> tuple[str, datetime] | None:
    """The line that keeps a tenant awake now, and until when; of several the one that lasts longest."""
    open_now = [
        (line, ends) for line in lines for begins, ends in parse(line).around(now) if begins <= now < ends
    ]  # fmt: skip
    return max(open_now, key=lambda each: each[1], default=None)


def next_begin(lines: Sequence[str], now: datetime) -> datetime | None:
    """When the next window opens; None without any."""
    begins = (begin for line in lines for begin, _ in parse(line).around(now) if begin > now)
    return min(begins, default=None)


def _time(text: str, line: str, *, is_end: bool = False) -> time:
    if is_end and text == _MIDNIGHT:
        return time(0, 0)
    hour, minute = map(int, text.split(":"))
    if hour > 23 or minute > 59:
        raise InvalidSpec(f"{text} in {line[:80]!r} isn't a time of day.", field=_FIELD, hint=_HINT)
    return time(hour, minute)


def _days(text: str | None) -> frozenset[int]:
    if text is None:
        return frozenset(range(7))
    found: set[int] = set()
    for part in text.split(","):
        first, *last = (_DAYS.index(name.strip().lower()) for name in re.split(_TO, part))
        end = last[0] if last else first
        found.update((first + offset) % 7 for offset in range((end - first) % 7 + 1))
    return frozenset(found)


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:  # a folder, a path or nonsense, and a name that nobody has
        raise InvalidSpec(f"There is no time zone, and no day, {name[:60]!r}.", field=_FIELD, hint=_HINT) from error
