"""/v1/doctor: what is wrong with this host, and how to mend it."""

from __future__ import annotations

from fastapi import APIRouter

from innkeeper.api.admission import needs
from innkeeper.api.deps import TheInn
from innkeeper.api.schema import Document
from innkeeper.core.access import Action

router = APIRouter(prefix="/doctor", tags=["house"])


class FindingDocument(Document):
    """What one check found."""

    name: str
    status: str
    """`ok`, `warn`, `fail`, or `skip` where it couldn't be told."""
    says: str
    fix: str | None
    """How to mend it."""


class DoctorDocument(Document):
    """All findings."""

    ok: bool
    """Whether nothing fails."""
    findings: list[FindingDocument]


@router.get("", summary="Examine the host")
@needs(Action.HOUSE)
async def doctor(inn: TheInn) -> DoctorDocument:
    """Run every check now; takes up to 20 seconds."""
    findings = [
        FindingDocument(name=found.name, status=found.status, says=found.says, fix=found.fix or None)
        for found in await inn.doctor()
    ]
    return DoctorDocument(ok=all(found.status != "fail" for found in findings), findings=findings)
