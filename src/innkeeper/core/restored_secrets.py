"""Secrets out of a snapshot: ciphertexts, put back where there are none, or sealed anew for another tenant.

What belongs to an integration isn't put back: the service may have revoked it since, and what it hangs on isn't in the
snapshot; the integration is connected again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from innkeeper.core.errors import Problem
from innkeeper.core.manifest import Manifest, SealedSecret
from innkeeper.core.ports import Seals, Transaction
from innkeeper.core.secrets import OURS, SECRETS_MAX


def names_of(manifest: Manifest) -> set[str]:
    """The secrets that can come back."""
    return {each.version.name for each in manifest.secrets if not each.version.name.startswith(OURS)}


def connections_of(manifest: Manifest) -> list[str]:
    """Those that don't: the integrations' own, by integration."""
    ours = (each.version.name for each in manifest.secrets if each.version.name.startswith(OURS))
    return sorted({name.removeprefix(OURS).split(".", 1)[0] for name in ours})


def values_of(manifest: Manifest, seals: Seals) -> list[tuple[str, str]]:
    """Name and value of each that there was, in every version, as far as they can be opened."""
    found = ((each.version.name, _opened(seals, each)) for each in manifest.secrets)
    return [(name, plain.decode()) for name, plain in found if plain is not None]


async def put_back(
    tx: Transaction, manifest: Manifest, seals: Seals, *, replaced: bool, by: str
) -> tuple[Sequence[str], Sequence[str]]:
    """Put back the tenant's secrets that are missing now, as they are in the snapshot; with `replaced` the newest of
    the others become versions of those that are there, written down as made by `by`. Which were, and which can't be
    opened and so aren't.
    """
    owner = manifest.tenant_id
    there = {each.name for each in await tx.secrets.versions(owner)}
    back: list[str] = []
    unreadable: list[str] = []
    for name in sorted(names_of(manifest)):
        its = [each for each in manifest.secrets if each.version.name == name]
        newest = max(its, key=lambda each: each.version.version)
        plain = _opened(seals, newest)
        if plain is None:
            unreadable.append(name)
        elif name not in there and len(there) + len(back) < SECRETS_MAX:
            for each in its:
                await tx.secrets.add(replace(each.version, tenant=manifest.name), each.sealed)
            back.append(name)
        elif name in there and replaced and await _differs(tx, seals, newest, plain):
            number = max(each.version for each in await tx.secrets.versions(owner, name)) + 1
            version = replace(newest.version, version=number, tenant=manifest.name, created_by=by)
            await tx.secrets.add(version, seals.seal(owner, version.sealed_as, plain))
            back.append(name)
    return back, unreadable


async def take_away(tx: Transaction, manifest: Manifest, before: Collection[str], *, by: str) -> Sequence[str]:
    """Undo `put_back`: drop what it added to those who were there `before`."""
    owner, gone = manifest.tenant_id, []
    ciphertexts = {(each.version.name, each.version.version): each.sealed for each in manifest.secrets}
    for version in await tx.secrets.versions(owner):
        sealed = ciphertexts.get((version.name, version.version))
        is_back = version.name not in before and sealed is not None and await tx.secrets.sealed(version) == sealed
        if is_back or version.created_by == by:
            await tx.secrets.drop(owner, version.name, [version.version])
            gone.append(version.name)
    return gone


async def sealed_anew(tx: Transaction, manifest: Manifest, seals: Seals, *, owner: str, name: str) -> Sequence[str]:
    """Give the secrets to another tenant, under its own key; which can't be opened and so aren't."""
    there = {(each.name, each.version) for each in await tx.secrets.versions(owner)}
    unreadable = set()
    for each in manifest.secrets:
        version = replace(each.version, owner=owner, tenant=name)
        if version.name.startswith(OURS) or (version.name, version.version) in there:
            continue
        plain = _opened(seals, each)
        if plain is None:
            unreadable.add(version.name)
        else:
            await tx.secrets.add(version, seals.seal(owner, version.sealed_as, plain))
    return sorted(unreadable)


async def _differs(tx: Transaction, seals: Seals, newest: SealedSecret, plain: bytes) -> bool:
    its = await tx.secrets.newest(newest.version.owner, [newest.version.name])
    return not any(_opened(seals, SealedSecret(version=version, sealed=sealed)) == plain for version, sealed in its)


def _opened(seals: Seals, secret: SealedSecret) -> bytes | None:
    try:
        return seals.unseal(secret.version.owner, secret.version.sealed_as, secret.sealed)
    except Problem:
        return None
