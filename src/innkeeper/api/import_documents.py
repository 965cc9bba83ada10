"""The API's documents for imports."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from innkeeper.api.forms import Body, Document
from innkeeper.api.operation_schema import OperationDocument
from innkeeper.core.adoption import Asked, Becomes, Seed
from innkeeper.core.importing import Plan
from innkeeper.core.tenant import NAME

_Path = Annotated[str, Field(min_length=1, max_length=4096, pattern="^/[^\\x00]*$")]
_Word = Annotated[str, Field(min_length=1, max_length=120)]


class ImportUnits(Body):
    """What to import."""

    seed: Seed = Field(alias="from")
    """Whose layout it is."""
    path: _Path
    """Where it lies on the control plane's host: a folder, or a tar."""
    name: str | None = Field(default=None, alias="as", pattern=f"^{NAME.pattern}$")
    """The tenant's name, where there is one unit; else it is made of what the unit is called."""
    agent: _Word | None = None
    """What it is to run, where that isn't the system's own agent."""
    release: _Word | None = None
    volumes: _Path | None = None
    """Where ZeptoClaw's volumes lie, if not where Docker has them: a folder of `NAME-data`, or of its backups."""
    only: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    """Of several units the one that is called so."""
    partial: bool = False
    """Take what is there of a unit of which something is missing."""
    leave_out: bool = False
    """Go without services and mounts that a compose file has beside the agent."""
    channels_on: bool = False
    """Start with its channels on: nobody else serves them any more."""
    dry_run: bool = False


class MoveDocument(Document):
    """Files, and where they go."""

    source: str
    target: str | None
    """In the tenant's persistence, where "" is that folder itself; null: they stay behind."""
    files: int
    bytes: int
    why: str


class ValueDocument(Document):
    """A variable or a value in a config, never the value itself."""

    name: str
    source: str
    becomes: Becomes
    target: str
    why: str


class PlanDocument(Document):
    """What would become of one unit."""

    key: str
    """What it is called in the source."""
    name: str
    agent: str
    release: str | None
    moves: list[MoveDocument]
    values: list[ValueDocument]
    secrets: list[str]
    notes: list[str]
    refusals: list[str]
    """What stands in the way; with none it can be imported."""


class ImportAnswer(Document):
    """The plans of a dry run, or the operations that were begun."""

    units: list[PlanDocument]
    operations: list[OperationDocument]


def asked_of(body: ImportUnits) -> Asked:
    """In the core's words."""
    return Asked(
        seed=body.seed,
        path=body.path,
        name=body.name,
        agent=body.agent,
        release=body.release,
        volumes=body.volumes,
        only=body.only,
        partial=body.partial,
        leave_out=body.leave_out,
    )


def plan_document(plan: Plan) -> PlanDocument:
    """The plan as it is shown: names that aren't text are shown as they can be."""
    adoption = plan.adoption
    moves = [
        MoveDocument(source=_shown(each.source), target=None if each.target is None else _shown(each.target),
                     files=each.files, bytes=each.bytes, why=each.why)
        for each in adoption.moves
    ]  # fmt: skip
    values = [
        ValueDocument(
            name=_shown(each.name), source=_shown(each.source), becomes=each.becomes, target=each.target, why=each.why
        )
        for each in adoption.values
    ]
    return PlanDocument(
        key=_shown(adoption.key),
        name=adoption.name,
        agent=adoption.agent,
        release=plan.spec.release if plan.spec else None,
        moves=moves,
        values=values,
        secrets=sorted(adoption.secrets),
        notes=[_shown(each) for each in plan.notes],
        refusals=[_shown(each) for each in plan.refusals],
    )


def _shown(text: str) -> str:
    return text.encode(errors="replace").decode()
