"""The manifest: what went into it comes out, and what can't be one is refused by name."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from innkeeper.core.manifest import Manifest, SealedSecret, manifest_of, read_manifest
from innkeeper.core.secrets import SecretVersion
from innkeeper.core.snapshot_errors import SnapshotDamaged
from tests.store.examples import NOON, elaborate_tenant


def elaborate() -> Manifest:
    tenant = elaborate_tenant()
    version = SecretVersion(
        owner=tenant.id, tenant=tenant.name, name="TOKEN", version=3, created_at=NOON, created_by="usr_1",
        expires_at=NOON + timedelta(days=1),
    )  # fmt: skip
    sealed = SealedSecret(version=version, sealed=b"\0\xff\n2")
    return manifest_of(
        tenant, snapshot="snap_1", taken_at=NOON, consented=True, packs={"base": {"release": "3"}}, secrets=(sealed,)
    )


def test_what_went_in_comes_out() -> None:
    manifest = elaborate()
    assert read_manifest(manifest.dumped()) == manifest
    tenant = elaborate_tenant()
    back = read_manifest(manifest.dumped()).tenant(slot=5)
    assert (back.id, back.name, back.spec, back.slot) == (tenant.id, tenant.name, tenant.spec, 5)
    assert (back.token_epoch, back.hostname) == (tenant.token_epoch, "before")


def test_one_of_before_there_were_such_names_has_its_own() -> None:
    told = json.loads(elaborate().dumped())
    del told["tenant"]["born_as"]
    assert read_manifest(json.dumps(told).encode()).hostname == told["tenant"]["name"]


def test_secrets_are_never_shown() -> None:
    assert "xff" not in repr(elaborate())


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": None},
        {"tenant": {}},
        {"tenant": None},
        {"secrets": [{"name": "x"}]},
        {"taken_at": "yesterday"},
        {"consented": None, "packs": None},
    ],
)
def test_what_cant_be_one_is_refused(change: dict[str, object]) -> None:
    told = json.loads(elaborate().dumped()) | change
    with pytest.raises(SnapshotDamaged):
        read_manifest(json.dumps(told).encode())


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b'{"format": 1}', b"1"])
def test_what_isnt_even_json_is_refused(content: bytes) -> None:
    with pytest.raises(SnapshotDamaged):
        read_manifest(content)


def test_a_tenants_name_that_isnt_one_is_refused() -> None:
    told = json.loads(replace(elaborate()).dumped())
    told["tenant"]["name"] = "../../etc"
    with pytest.raises(SnapshotDamaged):
        read_manifest(json.dumps(told).encode())
