"""What was asked of a restore, as its operation keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from innkeeper.core.kept_json import moment, stamp
from innkeeper.core.operations import Operation
from innkeeper.core.path_spelling import decoded, spelt
from innkeeper.core.ports.stages import Stage
from innkeeper.core.shelf import Restorable


class Mode(StrEnum):
    """What becomes of the snapshot."""

    IN_PLACE = "in_place"
    ANEW = "anew"  # a tenant that isn't there: another one, or the very one on another host
    FILE = "file"  # single paths, into a tar that is handed out
    PATHS = "paths"  # single paths, into a folder of the tenant's own data


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One restore."""

    mode: Mode
    snapshot: Restorable
    whole_spec: bool = True
    """Whether limits, hostnames, access and all it may use come back, too; else the release alone."""
    replace_secrets: bool = False
    """Whether secrets that are there get the value that they had then."""
    safety: bool = True
    """Whether the present state is snapshotted first."""
    paths: tuple[str, ...] = ()
    """Below persistence."""
    into: str = ""
    """A folder below persistence."""
    with_secrets: bool = False
    """Whether secrets in config files stay what they are in what is handed out."""

    def detail(self) -> Mapping[str, Any]:
        """For the operation."""
        one = self.snapshot
        return {
            "mode": self.mode,
            "snapshot": {
                **vars(one),
                "taken_at": stamp(one.taken_at),
                "copies": dict(one.copies),
                "broken": dict(one.broken),
            },
            "whole_spec": self.whole_spec,
            "replace_secrets": self.replace_secrets,
            "safety": self.safety,
            **({**spelt(self.paths), "into": self.into} if self.paths else {}),
            **({"with_secrets": self.with_secrets} if self.mode is Mode.FILE else {}),
        }


def asked_of(detail: Mapping[str, Any]) -> Asked:
    """What the operation keeps."""
    one = detail["snapshot"]
    return Asked(
        mode=Mode(detail["mode"]),
        snapshot=Restorable(**{**one, "taken_at": moment(one["taken_at"])}),
        whole_spec=detail["whole_spec"],
        replace_secrets=detail["replace_secrets"],
        safety=detail["safety"],
        paths=(*detail.get("paths", ()), *map(decoded, detail.get("paths_encoded", ()))),
        into=detail.get("into", ""),
        with_secrets=detail.get("with_secrets", False),
    )


def stage_of(operation: Operation) -> Stage:
    """Where it makes its folder ready."""
    return Stage(tenant_id=operation.tenant_id, operation_id=operation.id)


def told(one: Restorable) -> Mapping[str, Any]:
    """The snapshot, as results tell it."""
    said = {"id": one.id, "tenant": one.tenant, "taken_at": _text(one.taken_at)}
    return {**said, **({"broken_databases": sorted(one.broken)} if one.broken else {})}


def _text(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
