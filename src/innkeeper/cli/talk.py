"""`innkeeper tenant chat` and `tenant logs`: what an agent says, as it says it."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from typing import Annotated

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.exits import failed, wrong_usage
from innkeeper.cli.options import Json, TenantArgument
from innkeeper.cli.paths import path_part

_AGO = re.compile(r"(\d{1,9})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def chat(
    ctx: typer.Context,
    name: TenantArgument,
    text: Annotated[str | None, typer.Argument(help="What to say; read from standard input if left out.")] = None,
    as_json: Json = False,
) -> None:
    """Say something to a tenant's agent; its answer is printed as it comes."""
    desk: Desk = ctx.obj
    answer, reason, ended = [], None, False
    events = desk.client.events("POST", f"/v1/tenants/{path_part(name)}/chat", body={"message": _said(text)})
    with show.progress() as tell:
        tell(f"waiting for {name}")
        first = list(islice(events, 1))
    for event, data in chain(first, events):
        if event == "delta":
            answer.append(data["text"])
            if not as_json:
                show.words(data["text"])
        elif event == "done":
            ended, reason = True, data["finish_reason"]
    if as_json and ended:
        show.document({"tenant": name, "answer": "".join(answer), "finish_reason": reason})
    elif not as_json:
        show.line()
    if not ended:
        raise failed("broke_off", "The answer broke off.", f"Read the log with `innkeeper tenant logs {name}`.")


def logs(
    ctx: typer.Context,
    name: TenantArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it writes.")] = False,
    tail: Annotated[int, typer.Option(help="How many of the latest lines to begin with.")] = 200,
    since: Annotated[str | None, typer.Option(help="Nothing older: `10m`, `2h` or a time as RFC 3339.")] = None,
    as_json: Json = False,
) -> None:
    """Print what a tenant's instance wrote; as JSON one document a line."""
    desk: Desk = ctx.obj
    params = {"follow": follow, "tail": tail, "since": _moment(since) if since else None}
    for event, data in desk.client.events("GET", f"/v1/tenants/{path_part(name)}/logs", params=params):
        if event != "line":
            continue
        if as_json:
            show.document(data, lines=True)
        else:
            show.line(data["text"])


def _said(text: str | None) -> str:
    if text is None and sys.stdin.isatty():
        raise wrong_usage("There is nothing to say.", hint='Like: innkeeper tenant chat NAME "Hello"')
    said = sys.stdin.read() if text is None else text
    if not said.strip():
        raise wrong_usage("There is nothing to say.")
    return said


def _moment(since: str) -> str:
    """A moment as the API takes it."""
    if ago := _AGO.fullmatch(since):
        return (datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})).isoformat()
    try:
        return datetime.fromisoformat(since).astimezone().isoformat()
    except ValueError:
        raise wrong_usage(f"{since!r} is neither a time like `10m` nor a moment in RFC 3339.") from None
