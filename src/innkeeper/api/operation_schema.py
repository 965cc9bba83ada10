"""The API's documents for operations."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from innkeeper.api.forms import Document, ItemsOf
from innkeeper.core.operations import OperationKind, Status


class ProgressDocument(Document):
    """How far an operation is."""

    done: int
    of: int
    step: str


class TroubleDocument(Document):
    """Why an operation failed, or what it is held up by while it goes on."""

    code: str
    detail: str
    hint: str | None


class OperationDocument(Document):
    """A long piece of work; it survives a crash of the control plane."""

    id: str = Field(examples=["op_01kadn3v9f2q6m8x4c7r5t0w1y"])
    kind: OperationKind
    tenant: str
    status: Status
    progress: ProgressDocument
    error: TroubleDocument | None
    revision: int
    """The revision of the spec that it brings about."""
    created_at: datetime
    updated_at: datetime
    deadline: datetime
    """When it will be called failed, though the control plane goes on trying; works on data end when they are done."""
    result: dict[str, Any] | None = None
    """What came of it, when it is done: of works on data, and of deletes (`receipt`, the id, and `kept`)."""


class OperationPage(ItemsOf[OperationDocument]):
    """One page of operations."""
