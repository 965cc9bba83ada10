"""Drills as the API shows them."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from innkeeper.api.forms import Body, Document, ItemsOf
from innkeeper.core.drill import Drill, Outcome
from innkeeper.core.redaction import redact


class RunDrill(Body):
    """Which snapshot is to be drilled."""

    snapshot: str | None = Field(
        default=None, min_length=6, max_length=64, pattern="^(snap_)?[0-9a-z]+$", examples=["snap_01kadn3v9f"]
    )
    """How its id begins; null: the newest."""


class DrillStepDocument(Document):
    """A part of a drill."""

    step: str
    seconds: float


class DrillDocument(Document):
    """A drill that is over."""

    id: str
    """That of its operation."""
    tenant: str
    snapshot: str
    target: str
    taken_at: datetime
    """When the snapshot was taken."""
    began_at: datetime
    ended_at: datetime
    outcome: Outcome
    """`untried`: the host or the target stood in the way, and nothing is said of the snapshot."""
    release: str | None
    failed_at: str | None
    """The step that wasn't got through."""
    code: str | None
    says: str | None
    """What went wrong, with the agent's last words where it had any; or which databases the tenant had broken."""
    sessions: int | None
    """How many sessions were found; null: the agent doesn't tell."""
    steps: list[DrillStepDocument]


class DrillPage(ItemsOf[DrillDocument]):
    """One page of drills."""


def drill_document(drill: Drill) -> DrillDocument:
    """One as the API shows it."""
    return DrillDocument(
        id=drill.id,
        tenant=drill.tenant,
        snapshot=drill.snapshot,
        target=drill.target,
        taken_at=drill.taken_at,
        began_at=drill.began_at,
        ended_at=drill.ended_at,
        outcome=drill.outcome,
        release=drill.release,
        failed_at=drill.failed_at,
        code=drill.code,
        says=redact(drill.says) if drill.says else None,
        sessions=drill.sessions,
        steps=[DrillStepDocument(step=each.step, seconds=each.seconds) for each in drill.steps],
    )
