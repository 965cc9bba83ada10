"""When a credential is to end, as people say it: `30d`, `12h`, or a day."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from innkeeper.cli.exits import wrong_usage

Expires = Annotated[
    str | None,
    typer.Option(
        "--expires",
        metavar="WHEN",
        help="It ends by itself: `30d` or `12h` from now, or on a day like `2027-01-31`, in UTC. Without, it doesn't.",
    ),
]
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1)}
_SPAN = re.compile(r"([1-9][0-9]{0,5})([hd])")


def expires_at(said: str | None, *, now: datetime | None = None) -> str | None:
    """The moment that is meant, as the API takes it."""
    if said is None:
        return None
    try:
        if span := _SPAN.fullmatch(said):
            return ((now or datetime.now(UTC)) + int(span[1]) * _UNITS[span[2]]).isoformat()
        moment = datetime.fromisoformat(said)
    except (ValueError, OverflowError):
        raise wrong_usage(
            f"--expires: {said[:40]!r} is no time.", hint="Like 30d, 12h, 2027-01-31 or 2027-01-31T18:00:00Z."
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()
