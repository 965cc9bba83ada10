"""Putting an export back: what is missing is put there, and nothing that is there is touched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from innkeeper.keyring.data_keys import DataKeys
from innkeeper.keyring.exports import read_copy
from innkeeper.keyring.faults import KeyringFault
from innkeeper.keyring.masters import Ring, fitting, masters_of
from innkeeper.keyring.ring import Keyring, used_with
from innkeeper.keyring.sources import KeyringFile, MasterSource


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What came back."""

    masters: bool
    """Whether the keyring itself was missing."""
    keys: int
    left: int
    """Data keys of the export that were there already, or had been destroyed since: those stay destroyed."""


def restore(data: Path, file: Path, passphrase: str | None = None, *, source: MasterSource | None = None) -> Restored:
    """Put back what is missing of the export `file`; KeyringFault where the keyring that is there is another one."""
    source = source or KeyringFile(data / "keyring")
    copy = read_copy(file, passphrase)
    there = source.read()
    if there is None:
        if not source.writable:
            raise KeyringFault(f"{source.where} gives no keyring, and can't be written to.", hint="Put it there first.")
        # Before it is written: the wrong one would be in the right one's way.
        fitting(used_with(data / "keys") or [], copy.masters, where=str(file))
        source.write(copy.masters.dumped(), anew=True)
    else:
        _check_same(masters_of(there, where=source.where).keys, copy.masters.keys, source.where)
    Keyring.open(data, source)
    ring = Ring(copy.masters, lambda: copy.masters)
    keys = DataKeys(data / "keys", ring)
    put = sum(keys.put_back(each) for each in copy.keys)
    return Restored(masters=there is None, keys=put, left=len(copy.keys) - put)


def _check_same(there: tuple[object, ...], copied: tuple[object, ...], where: str) -> None:
    if not set(copied) <= set(there):
        raise KeyringFault(
            f"{where} is another keyring than the export's, or an older one.",
            hint="Move it aside if it is not the right one, then import again. Nothing was changed.",
        )
