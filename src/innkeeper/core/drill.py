"""A drill: one snapshot, brought up once to see whether it can be, and thrown away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What a drill says of its snapshot."""

    PROVEN = "proven"
    FAILED = "failed"
    UNTRIED = "untried"  # the host or the target stood in the way: nothing is said of the snapshot


SPEAKING = (Outcome.PROVEN, Outcome.FAILED)
"""Those that say something of the snapshot."""


@dataclass(frozen=True, kw_only=True)
class StepTaken:
    """A part of a drill, and how long it took."""

    step: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Drill:
    """A drill that is over."""

    id: str
    """That of its operation."""
    tenant: str
    tenant_id: str
    snapshot: str
    target: str
    taken_at: datetime
    """When the snapshot was taken."""
    began_at: datetime
    ended_at: datetime
    outcome: Outcome
    release: str | None = None
    """`openclaw 2026.9.6`, as the snapshot has it; None: it wasn't got that far."""
    failed_at: str | None = None
    """The step that wasn't got through."""
    code: str | None = None
    """Of the problem."""
    says: str | None = None
    """What went wrong, with the agent's last words where it had any, redacted; or what was wrong with it already."""
    sessions: int | None = None
    """How many sessions were found; None: the agent doesn't tell."""
    steps: tuple[StepTaken, ...] = ()

    @property
    def result(self) -> Mapping[str, Any]:
        """What its operation says at the end."""
        return {
            "outcome": self.outcome.value,
            "snapshot": self.snapshot,
            "target": self.target,
            "release": self.release,
            "sessions": self.sessions,
            **({"says": self.says} if self.says else {}),
            "seconds": round((self.ended_at - self.began_at).total_seconds(), 1),
        }
