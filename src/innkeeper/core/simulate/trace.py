"""A trace of requests, line by line: CSV (`at_s,tenant[,busy_s]`) or JSON Lines with the same names.

Lines come in the order of time, so that a trace of any length takes no more memory than its tenants' names.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from math import isfinite

from innkeeper.core.errors import TraceInvalid
from innkeeper.core.simulate.house import Request

HEADER = ("at_s", "tenant", "busy_s")
LINE_MAX = 4096
"""Bytes; longer lines belong to another kind of file."""
SPAN_MAX_S = 10 * 365 * 86400.0
BUSY_MAX_S = 30 * 86400.0
Line = tuple[float, str, float]
"""A request as the file has it: with the tenant's name."""
_FORM = "Each line is `at_s,tenant[,busy_s]`, or a JSON object with these names; times are seconds."


def read_trace(lines: Iterable[bytes], name: str) -> Iterator[Request]:
    """The requests in the lines of the file of that name; TraceInvalid says which line doesn't hold."""
    numbers: dict[str, int] = {}
    first_s = last_s = None
    for number, raw in enumerate(lines, 1):
        where = f"{name}, line {number}"
        if len(raw) > LINE_MAX:
            raise _wrong(where, f"it is longer than {LINE_MAX} bytes")
        line = _text(raw, where)
        if not line or (number == 1 and _is_header(line)):
            continue
        at_s, tenant, busy_s = _json(line, where) if line[0] == "{" else _csv(line, where)
        if last_s is not None and at_s < last_s:
            raise TraceInvalid(
                f"{where}: {at_s:g} comes after {last_s:g}, but is earlier.",
                hint="Sort the trace by time first: `sort -t, -g -k1,1 FILE`.",
            )
        first_s = at_s if first_s is None else first_s
        if at_s - first_s > SPAN_MAX_S:
            raise _wrong(where, "it is more than ten years after the first; are these milliseconds?")
        last_s = at_s
        yield at_s, numbers.setdefault(tenant, len(numbers)), busy_s
    if last_s is None:
        raise TraceInvalid(f"{name} holds no request.", hint=_FORM)


def _text(raw: bytes, where: str) -> str:
    try:
        return raw.decode().strip().removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise _wrong(where, "it isn't UTF-8") from None


def _is_header(line: str) -> bool:
    return tuple(word.strip() for word in line.split(",")) in (HEADER, HEADER[:2])


def _csv(line: str, where: str) -> Line:
    fields = [field.strip() for field in line.split(",")]
    if not 2 <= len(fields) <= 3:
        raise _wrong(where, f"it has {len(fields)} fields")
    at_s, tenant, busy_s = (*fields, "0")[:3]
    return _number("at_s", at_s, where), _tenant(tenant, where), _busy(busy_s or "0", where)


def _json(line: str, where: str) -> Line:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise _wrong(where, "it isn't JSON") from None
    if not isinstance(found, dict) or not {"at_s", "tenant"} <= found.keys():
        raise _wrong(where, "at_s or tenant is missing")
    at_s, busy_s = _number("at_s", found["at_s"], where), found.get("busy_s")
    return at_s, _tenant(found["tenant"], where), _busy(0 if busy_s is None else busy_s, where)


def _tenant(value: object, where: str) -> str:
    if not isinstance(value, str | int) or value == "":
        raise _wrong(where, "the tenant has no name")
    return str(value)


def _busy(value: object, where: str) -> float:
    busy_s = _number("busy_s", value, where)
    if busy_s > BUSY_MAX_S:
        raise _wrong(where, f"busy_s is {busy_s:g}: nobody is busy for longer than 30 days")
    return busy_s


def _number(field: str, value: object, where: str) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]  # whatever it is, it is tried
    except (TypeError, ValueError, OverflowError):
        raise _wrong(where, f"{field} is {str(value)[:40]!r}, and no number") from None
    if not isfinite(number) or number < 0 or isinstance(value, bool):
        raise _wrong(where, f"{field} can't be {str(value)[:40]}")
    return number


def _wrong(where: str, why: str) -> TraceInvalid:
    return TraceInvalid(f"{where}: {why}.", hint=_FORM)
