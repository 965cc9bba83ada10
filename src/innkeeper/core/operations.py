"""Operations: long pieces of work on a tenant, told from the store alone, so that a crash loses none.

An operation does nothing by itself. It names a goal (a revision and a state to be reached); the reconciler
brings the tenant there for its own reasons, and after each step the open operations are compared with what is.
Only those in `WORKED` are carried out by somebody: core/works.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from innkeeper.core.audit import Entry
from innkeeper.core.errors import (
    ImageMissing,
    Kind,
    NoCapacity,
    Problem,
    RungMissing,
    RuntimeFault,
    Superseded,
    TenantFailed,
    TenantNotReady,
    documented,
)
from innkeeper.core.instance import Instance, State
from innkeeper.core.plan import Step, decide
from innkeeper.core.redaction import redact
from innkeeper.core.tenant import Tenant

SEALED = "passphrase"
"""Where in a work's `detail` a secret stands, encrypted, for as long as the work may need it."""
FAULTS_TOLERATED = 3
"""So many failures in a row end the operations that wait for it; the reconciler goes on regardless."""


class OperationKind(StrEnum):
    """What was asked for."""

    PROVISION = "provision"
    UPDATE = "update"
    RESTART = "restart"
    WAKE = "wake"
    SLEEP = "sleep"
    DELETE = "delete"
    BACKUP = "backup"
    RETAIN = "retain"  # forget what has been kept for long enough
    VERIFY = "verify"  # look whether what is kept is what was written
    DRILL = "drill"
    RESTORE = "restore"
    EXPORT = "export"
    EXPORT_DATA = "export_data"  # a person's, before it is erased
    IMPORT = "import"
    HYDRATE = "hydrate"


WORKED = frozenset(OperationKind) - {
    OperationKind.PROVISION,
    OperationKind.UPDATE,
    OperationKind.RESTART,
    OperationKind.WAKE,
    OperationKind.SLEEP,
    OperationKind.DELETE,
}
"""Those that are carried out, rather than compared with what is."""


class Status(StrEnum):
    """How far an operation is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether it won't change any more."""
        return self in (Status.DONE, Status.FAILED)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How many of how many steps are done, and what is being done now."""

    done: int
    of: int
    step: str


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """An error as an operation keeps it: why it failed, or what it is held up by while it goes on."""

    code: str
    message: str
    hint: str = ""

    @classmethod
    def of(cls, problem: Problem) -> Trouble:
        """The problem, to be kept: without what it may have quoted."""
        return cls(code=problem.code, message=redact(problem.message), hint=redact(problem.hint))

    def problem(self) -> Problem:
        """The same again, to be raised."""
        kind = next((each for each in documented() if each.code == self.code), Problem)
        return kind(self.message, hint=self.hint)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One piece of work, from being asked for to its end."""

    id: str
    kind: OperationKind
    tenant: str
    tenant_id: str
    revision: int
    """The revision that has to be reached, or passed."""
    created_at: datetime
    updated_at: datetime
    deadline: datetime
    """When it is called failed, though the reconciler goes on."""
    status: Status = Status.QUEUED
    progress: Progress = Progress(done=0, of=1, step="queued")
    error: Trouble | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    """What was asked for, how far it is beyond `progress`, and at the end its `result`; works have one, and deletes."""


DEADLINES: dict[OperationKind, timedelta] = {
    OperationKind.PROVISION: timedelta(minutes=10),
    OperationKind.UPDATE: timedelta(minutes=10),
    OperationKind.RESTART: timedelta(minutes=10),
    OperationKind.WAKE: timedelta(minutes=5),
    OperationKind.SLEEP: timedelta(minutes=10),  # a busy OpenClaw may hold SIGTERM for 315 s
    OperationKind.DELETE: timedelta(minutes=10),
    **dict.fromkeys(WORKED, timedelta(days=1)),  # told, not kept: a work ends when it is done
}

_NOT_PAGED = RungMissing(
    "It is frozen, but its memory stays: it couldn't be pushed to swap.", hint="See `sleep.skipped`."
)

_PHASES = ("creating", "starting", "waiting until ready")
_PHASE_OF = {Step.CREATE: 0, Step.START: 1, Step.UNPAUSE: 1, Step.PROBE: 2}
_GOING_DOWN = {Step.STOP: "stopping", Step.REMOVE: "removing", Step.UNPAUSE: "thawing", Step.PAUSE: "pausing"}


class Paging(StrEnum):
    """How far the memory of one that should lie in swap is on its way there."""

    UNDER_WAY = "under way"
    OVER = "over"
    REFUSED = "refused"


def advance(
    operation: Operation, tenant: Tenant, instance: Instance, now: datetime, *, paging: Paging = Paging.OVER
) -> Operation:
    """The operation as it stands after a look at its tenant; unchanged where nothing moved."""
    if operation.status.ended:
        return operation
    if operation.kind is not OperationKind.DELETE and (
        tenant.id != operation.tenant_id or tenant.target is State.ABSENT
    ):
        return _end(operation, now, Trouble.of(Superseded("The tenant is being deleted.")))
    if tenant.seen.state is State.FAILED and tenant.target is not State.ABSENT:
        return _end(operation, now, Trouble.of(TenantFailed(tenant.seen.error or "The instance can't run.")))
    if operation.kind is OperationKind.SLEEP and tenant.target is State.RUNNING:
        return _end(operation, now, Trouble.of(Superseded("The tenant was needed before it slept.")))
    if operation.kind is OperationKind.WAKE and tenant.target is not State.RUNNING:
        return _end(operation, now, Trouble.of(Superseded("The tenant was put to sleep again before it was up.")))
    step = decide(tenant, instance)
    if operation.kind is not OperationKind.SLEEP:
        paging = Paging.OVER
    if tenant.closed is None and step is Step.NONE and _is_reached(operation, tenant, paging):
        return _end(operation, now, Trouble.of(_NOT_PAGED) if paging is Paging.REFUSED else None)
    if now >= operation.deadline:
        late = TenantNotReady(
            f"{operation.tenant} isn't there yet: {operation.progress.step}.",
            hint="The control plane goes on trying; `innkeeper tenant show` tells how far it is.",
        )
        held_up = operation.error or Trouble.of(late)
        return _end(operation, now, held_up)
    progress = _progress(operation, tenant, step)
    if step is Step.NONE:
        progress = replace(progress, step="paging out" if tenant.closed is None else "waiting for work on its folder")
    if progress == operation.progress and operation.status is Status.RUNNING:
        return operation
    return replace(operation, status=Status.RUNNING, progress=progress, updated_at=now)


def _is_reached(operation: Operation, tenant: Tenant, paging: Paging) -> bool:
    return tenant.revision >= operation.revision and paging is not Paging.UNDER_WAY


def worked(operation: Operation, progress: Progress, detail: Mapping[str, Any], now: datetime) -> Operation:
    """A work that is under way, with how far it is."""
    return replace(operation, status=Status.RUNNING, progress=progress, detail=detail, error=None, updated_at=now)


def work_ended(operation: Operation, now: datetime, trouble: Trouble | None = None) -> Operation:
    """A work that is over, and holds no secret any more; with `trouble` it failed."""
    if operation.detail.get(SEALED) is not None:
        operation = replace(operation, detail={**operation.detail, SEALED: None})
    return _end(operation, now, trouble)


def finish(operation: Operation, now: datetime, **result: Any) -> Operation:
    """A delete whose tenant is gone, with what came of it."""
    return _end(replace(operation, detail={**operation.detail, "result": result}), now)


def erased(operation_id: str, entry: Entry) -> Operation:
    """A delete that took its own rows along, told from the trail."""
    return Operation(
        id=operation_id,
        kind=OperationKind.DELETE,
        tenant=entry.tenant or "",
        tenant_id=entry.tenant_id or "",
        revision=0,
        created_at=entry.at,
        updated_at=entry.at,
        deadline=entry.at,
        status=Status.DONE,
        progress=Progress(done=1, of=1, step="done"),
        detail={"result": {"receipt": entry.detail.get("receipt"), "kept": []}},
    )


def hold_up(operation: Operation, trouble: Trouble | None, now: datetime, *, fatal: bool = False) -> Operation:
    """The operation with what it is held up by now; `fatal` ends it."""
    if fatal:
        return _end(operation, now, trouble)
    if operation.error == trouble:
        return operation
    return replace(operation, status=Status.RUNNING, error=trouble, updated_at=now)


def is_fatal(problem: Problem, failures: int) -> bool:
    """Whether whoever waits should be told that it went wrong, after so many `failures`, rather than wait on."""
    if isinstance(problem, NoCapacity):
        return True
    if problem.kind in (Kind.UNAVAILABLE, Kind.NOT_READY) and not isinstance(problem, ImageMissing):
        return False
    return not isinstance(problem, RuntimeFault) or failures >= FAULTS_TOLERATED


def waits(operation: Operation, why: str, now: datetime) -> Operation:
    """The operation while its tenant waits for something that isn't in anybody's way."""
    return replace(
        operation, status=Status.RUNNING, progress=replace(operation.progress, step=why), error=None, updated_at=now
    )


def _end(operation: Operation, now: datetime, trouble: Trouble | None = None) -> Operation:
    if trouble is not None:
        return replace(operation, status=Status.FAILED, error=trouble, updated_at=now)
    progress = Progress(done=operation.progress.of, of=operation.progress.of, step="done")
    return replace(operation, status=Status.DONE, error=None, progress=progress, updated_at=now)


def _progress(operation: Operation, tenant: Tenant, step: Step) -> Progress:
    if tenant.target is State.RUNNING and step in _PHASE_OF:
        done = _PHASE_OF[step]
        return Progress(done=done, of=len(_PHASES), step=_PHASES[done])
    return Progress(done=0, of=operation.progress.of, step=_GOING_DOWN.get(step, step.value))
