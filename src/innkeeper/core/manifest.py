"""The manifest of a snapshot: all that a tenant is beside its data, so that it comes back on an empty host.

It lies at `/innkeeper/manifest.json` in every snapshot, beside `/persistence` and `/unit`. What could let anybody in is
not in it: keys, tokens and members are given anew; secrets are there as the vault keeps them, of no use without the
keyring.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from innkeeper.core.errors import Problem
from innkeeper.core.kept_json import moment, spec_document, spec_of, stamp
from innkeeper.core.secrets import SecretVersion
from innkeeper.core.snapshot_errors import SnapshotDamaged
from innkeeper.core.tenant import NAME, Spec, Tenant, Wanted

FORMAT = 1
PATH = "/innkeeper/manifest.json"
FOLDER, FILE = "/innkeeper", "manifest.json"
PERSISTENCE, UNIT = "/persistence", "/unit"
"""The other two folders of a snapshot."""
PACKS = "hydration.json"
"""The unit's file that tells which content was delivered to it."""
READ_LIMIT_BYTES = 64 << 20
"""More than a thousand secrets of the largest size take with all their versions."""


@dataclass(frozen=True, kw_only=True)
class SealedSecret:
    """A version of a secret, with its ciphertext as it lies in the store."""

    version: SecretVersion
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a snapshot says of its tenant."""

    snapshot: str
    """Our own id of it: `snap_…`."""
    taken_at: datetime
    tenant_id: str
    name: str
    spec: Spec
    revision: int
    token_epoch: int
    wanted: Wanted
    created_at: datetime
    fenced: bool = False
    born_as: str | None = None
    consented: bool | None = None
    """Whether its agent had come to rest; None: nothing of it ran."""
    packs: Mapping[str, Any] = field(default_factory=dict)
    """Which content was delivered to it, as its folder tells."""
    secrets: Sequence[SealedSecret] = ()

    @property
    def hostname(self) -> str:
        """That of the instance that it was taken from."""
        return self.born_as or self.name

    @property
    def essence(self) -> str:
        """The same as long as nothing that it says has changed, though it is said anew."""
        said = {**json.loads(self.dumped()), "snapshot": None, "taken_at": None, "consented": None}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def tenant(self, *, slot: int) -> Tenant:
        """The tenant as it was, in a place of its own; whoever restores it decides on name, tokens and fence."""
        return Tenant(
            id=self.tenant_id,
            name=self.name,
            spec=self.spec,
            slot=slot,
            created_at=self.created_at,
            revision=self.revision,
            remade_at=self.revision,
            wanted=self.wanted,
            token_epoch=self.token_epoch,
            fenced=self.fenced,
            born_as=self.born_as,
        )

    def dumped(self) -> bytes:
        """As it lies in the snapshot."""
        return json.dumps(
            {
                "format": FORMAT,
                "snapshot": self.snapshot,
                "taken_at": stamp(self.taken_at),
                "tenant": {
                    "id": self.tenant_id,
                    "name": self.name,
                    "agent": self.spec.agent,
                    "release": self.spec.release,
                    "image": self.spec.image,
                    "revision": self.revision,
                    "token_epoch": self.token_epoch,
                    "wanted": self.wanted,
                    "created_at": stamp(self.created_at),
                    "fenced": self.fenced,
                    "born_as": self.born_as,
                    "spec": spec_document(self.spec),
                },
                "consented": self.consented,
                "packs": dict(self.packs),
                "secrets": [_secret_out(each) for each in self.secrets],
            },
            indent=1,
        ).encode()


def manifest_of(
    tenant: Tenant,
    *,
    snapshot: str,
    taken_at: datetime,
    consented: bool | None,
    packs: Mapping[str, Any],
    secrets: Sequence[SealedSecret],
) -> Manifest:
    """What there is to say of a tenant now."""
    return Manifest(
        snapshot=snapshot,
        taken_at=taken_at,
        tenant_id=tenant.id,
        name=tenant.name,
        spec=tenant.spec,
        revision=tenant.revision,
        token_epoch=tenant.token_epoch,
        wanted=tenant.wanted,
        created_at=tenant.created_at,
        fenced=tenant.fenced,
        born_as=tenant.born_as,
        consented=consented,
        packs=packs,
        secrets=secrets,
    )


def read_manifest(content: bytes) -> Manifest:
    """The manifest that was written so; raises SnapshotDamaged, also for one of a later format."""
    try:
        told = json.loads(content)
        known = told["format"] == FORMAT
        found = _read(told) if known else None
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise SnapshotDamaged(f"The snapshot's manifest can't be read: {type(error).__name__}.") from error
    except Problem as problem:  # a spec that can't be
        raise SnapshotDamaged(f"The snapshot's manifest doesn't hold: {problem.message}") from problem
    if found is None:
        raise SnapshotDamaged(
            f"The snapshot has a manifest of format {told['format']!r:.40}, and this version reads {FORMAT}.",
            hint="Restore it with the version of Innkeeper that made it, or a later one.",
        )
    return found


def for_other(manifest: Manifest, *, tenant_id: str, name: str) -> Manifest:
    """The same for another tenant; without secrets, for they open for nobody else."""
    return replace(manifest, tenant_id=tenant_id, name=name, secrets=())


def _read(told: Mapping[str, Any]) -> Manifest:
    tenant, consented = told["tenant"], told["consented"]
    if not NAME.fullmatch(tenant["name"]):
        raise ValueError(tenant["name"])
    return Manifest(
        snapshot=str(told["snapshot"]),
        taken_at=moment(told["taken_at"]),
        tenant_id=str(tenant["id"]),
        name=tenant["name"],
        spec=spec_of(json.dumps(tenant["spec"])),
        revision=int(tenant["revision"]),
        token_epoch=int(tenant["token_epoch"]),
        wanted=Wanted(tenant["wanted"]),
        created_at=moment(tenant["created_at"]),
        fenced=bool(tenant["fenced"]),
        born_as=_name_or_none(tenant.get("born_as")),
        consented=None if consented is None else bool(consented),
        packs=dict(told["packs"]),
        secrets=tuple(_secret_in(each, str(tenant["id"]), tenant["name"]) for each in told["secrets"]),
    )


def _name_or_none(told: object) -> str | None:
    if told is not None and not (isinstance(told, str) and NAME.fullmatch(told)):
        raise ValueError(told)
    return told


def _secret_out(secret: SealedSecret) -> Mapping[str, object]:
    version = secret.version
    return {
        "name": version.name,
        "version": version.version,
        "created_at": stamp(version.created_at),
        "created_by": version.created_by,
        "expires_at": None if version.expires_at is None else stamp(version.expires_at),
        "sealed": base64.b64encode(secret.sealed).decode(),
    }


def _secret_in(told: Mapping[str, Any], owner: str, tenant: str) -> SealedSecret:
    expires = told["expires_at"]
    version = SecretVersion(
        owner=owner,
        tenant=tenant,
        name=str(told["name"]),
        version=int(told["version"]),
        created_at=moment(told["created_at"]),
        created_by=str(told["created_by"]),
        expires_at=None if expires is None else moment(expires),
    )
    return SealedSecret(version=version, sealed=base64.b64decode(told["sealed"], validate=True))
