"""What is proven of a tenant's snapshots, as its document shows it."""

from __future__ import annotations

from datetime import datetime

from innkeeper.api.forms import Document
from innkeeper.core.drill import Outcome
from innkeeper.core.proofs import Proof


class ProofDocument(Document):
    """What drills last said of a tenant's snapshots."""

    at: datetime | None
    """When one was last brought up to prove that it can be: the last proven restore; null: none ever was."""
    snapshot: str | None
    """Which one that was."""
    taken_at: datetime | None
    """When that was taken: everything up to then is known to come back."""
    ok: bool
    """Whether the last drill that said anything went well; `innkeeper drill list NAME` tells why not."""
    tried_at: datetime
    """When that one was."""


def proof_document(proof: Proof | None) -> ProofDocument | None:
    """As the API shows it; null where nothing is known."""
    if proof is None:
        return None
    proven = proof.proven
    return ProofDocument(
        at=proven.ended_at if proven else None,
        snapshot=proven.snapshot if proven else None,
        taken_at=proven.taken_at if proven else None,
        ok=proof.last.outcome is Outcome.PROVEN,
        tried_at=proof.last.ended_at,
    )
