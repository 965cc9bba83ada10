"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"  # it works, but worse or more riskily than it could
    FAIL = "fail"  # something doesn't work, or isn't safe
    SKIP = "skip"  # couldn't be told, or doesn't apply


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of `innkeeper doctor`, for the operator: what is, and how to mend it."""

    name: str
    status: Status
    says: str
    fix: str = ""
