"""One restore on its way: what was asked, where it makes its folder ready, and what is being done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from innkeeper.core.errors import Problem, Superseded
from innkeeper.core.ladder import Rung
from innkeeper.core.operations import Operation, Trouble
from innkeeper.core.ports.stages import Stage
from innkeeper.core.restore_asked import Asked, asked_of, stage_of
from innkeeper.core.tenant import Seen, Tenant, Wanted
from innkeeper.core.works import Tell


class Phase(StrEnum):
    """What is being done; those before `swapping` have changed nothing of the tenant's."""

    STAGING = "staging"
    CLOSING = "closing"
    SAVING = "saving"
    SWAPPING = "swapping"
    OPENING = "opening"
    PROVING = "proving"
    TIDYING = "tidying"
    RETURNING = "returning"

    @property
    def is_after_swap(self) -> bool:
        """Whether the former folder may lie in the stage."""
        return self in (Phase.SWAPPING, Phase.OPENING, Phase.PROVING, Phase.RETURNING)


@dataclass(frozen=True, kw_only=True)
class Way:
    """One restore on its way."""

    operation: Operation
    asked: Asked
    stage: Stage
    tell: Tell

    @property
    def name(self) -> str:
        """Whose."""
        return self.operation.tenant

    @property
    def kept(self) -> Mapping[str, Any]:
        """What is written down by now."""
        return self.tell.operation.detail

    @property
    def phase(self) -> str:
        """What was written down as begun last; "" at first."""
        return str(self.kept.get("phase", ""))

    def still(self, tenant: Tenant | None) -> Tenant:
        """The tenant itself; Superseded where it is gone, or about to be."""
        if tenant is None or tenant.id != self.operation.tenant_id or tenant.wanted is Wanted.GONE:
            raise Superseded(f"{self.name} is being deleted.")
        return tenant


def way_of(operation: Operation, tell: Tell) -> Way:
    """The way of an operation, from where it was left."""
    return Way(operation=operation, asked=asked_of(operation.detail), stage=stage_of(operation), tell=tell)


def trouble_of(error: Exception) -> Trouble:
    """What went wrong, as an operation keeps it."""
    if isinstance(error, Problem):
        return Trouble.of(error)
    return Trouble(code=Problem.code, message=f"It ended unexpectedly: {type(error).__name__}. See the log.")


def opened(tenant: Tenant, *, awake: bool) -> Tenant:
    """With leave to start, as another instance whose credentials nobody knows; `awake`: also one that is to sleep."""
    revision = tenant.revision + 1
    return replace(
        tenant,
        closed=None,
        revision=revision,
        remade_at=revision,
        token_epoch=tenant.token_epoch + 1,
        wanted=Wanted.AUTO if awake and tenant.wanted is Wanted.ASLEEP else tenant.wanted,
        rung=Rung.RUNNING,
        seen=Seen(webhooks=tenant.seen.webhooks),
    )
