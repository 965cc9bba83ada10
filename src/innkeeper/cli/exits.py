"""Exit codes, and the one exception that ends a command with a sentence, a hint and one of them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from innkeeper.core.errors import Kind, Problem


class ExitCode(IntEnum):
    """What a command's exit code means."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    UNREACHABLE = 5


MEANING: Mapping[ExitCode, str] = {
    ExitCode.DONE: "done",
    ExitCode.FAILED: "it was tried and failed, or a check fails",
    ExitCode.USAGE: "wrong usage, or a request that can never succeed as it stands",
    ExitCode.NOT_FOUND: "the thing named isn't there",
    ExitCode.REFUSED: "refused: access, quota or a conflict",
    ExitCode.UNREACHABLE: "the control plane doesn't answer",
}

CODES: Mapping[str, str] = {
    "wrong_usage": "The command as given makes no sense, or it was answered with no.",
    "unreachable": "Nobody answers where the API should be.",
    "not_innkeeper": "What answers there isn't an Innkeeper.",
    "unreadable_token": "The admin token in the data directory can't be read.",
    "broke_off": "A stream ended before its last event.",
    "not_measured": "A simulation needs a cost that hasn't been measured on this host, and that wasn't given.",
    "unwritable": "The file that a result should go to can't be written.",
    "unreadable": "A file that a command was given can't be read, or holds something else.",
    "not_opened": "An encrypted file doesn't open with that key or passphrase, or was changed.",
    "interrupted": "You stopped waiting; what was asked for goes on.",
}
"""The codes of problems that arise in the command line itself; all others are the API's."""

_BY_STATUS: Mapping[int, ExitCode] = {
    400: ExitCode.USAGE,
    401: ExitCode.REFUSED,
    403: ExitCode.REFUSED,
    404: ExitCode.NOT_FOUND,
    409: ExitCode.REFUSED,
    413: ExitCode.USAGE,
    422: ExitCode.USAGE,
}

_BY_KIND: Mapping[Kind, ExitCode] = {
    Kind.INVALID: ExitCode.USAGE,
    Kind.UNAUTHENTICATED: ExitCode.REFUSED,
    Kind.FORBIDDEN: ExitCode.REFUSED,
    Kind.NOT_FOUND: ExitCode.NOT_FOUND,
    Kind.CONFLICT: ExitCode.REFUSED,
    Kind.TOO_LARGE: ExitCode.USAGE,
}


class Stop(Exception):
    """Ends the command: `document` is the problem as programs get it; `told` says that they have got it already."""

    def __init__(self, document: Mapping[str, object], exit_code: ExitCode, *, told: bool = False) -> None:
        super().__init__(str(document.get("detail", "")))
        self.document = document
        self.exit_code = exit_code
        self.told = told


def wrong_usage(detail: str, *, hint: str | None = None) -> Stop:
    """The command as given makes no sense."""
    return Stop({"code": "wrong_usage", "detail": detail, "hint": hint}, ExitCode.USAGE)


def unreachable(api: str, why: str) -> Stop:
    """Nobody answers where the API should be."""
    hint = "Start it with `innkeeper serve --detach`, or say where it is with INNKEEPER_API."
    detail = f"The control plane doesn't answer at {api}: {why}."
    return Stop({"code": "unreachable", "detail": detail, "hint": hint}, ExitCode.UNREACHABLE)


def refused(status: int, document: Mapping[str, object]) -> Stop:
    """What the API answered instead of doing it."""
    return Stop(document, _BY_STATUS.get(status, ExitCode.FAILED))


def failed(code: object, detail: object, hint: object = None) -> Stop:
    """It was tried, and went wrong."""
    return Stop({"code": code, "detail": detail, "hint": hint}, ExitCode.FAILED)


def from_problem(problem: Problem) -> Stop:
    """A problem that arose in this very process."""
    document = {"code": problem.code, "detail": problem.message, "hint": problem.hint or None, "field": problem.field}
    return Stop(document, _BY_KIND.get(problem.kind, ExitCode.FAILED))
