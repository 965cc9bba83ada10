"""Secrets as the vault keeps them: by owner and name, in versions, of which the newest counts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from innkeeper.core.errors import Invalid

PLATFORM = "platform"
"""Owns what is no tenant's; all their ids begin with `tn_`."""
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
VALUE_MAX_BYTES = 64 << 10
"""In UTF-8; a private key in PEM has 3 KiB."""
VERSIONS_KEPT = 5
"""Of one secret: enough to go back to what worked, few enough that an old value is forgotten some day."""
SECRETS_MAX = 1000
"""Of one owner."""
OURS = "integration."
"""How the names begin that are set by other use cases alone."""


@dataclass(frozen=True, kw_only=True)
class SecretVersion:
    """One value of a secret, without the value."""

    owner: str
    """A tenant's id, or PLATFORM."""
    tenant: str | None
    """That tenant's name."""
    name: str
    version: int
    created_at: datetime
    created_by: str
    """Whose credential it was, as in the trail."""
    expires_at: datetime | None = None

    @property
    def sealed_as(self) -> str:
        """What its ciphertext is bound to, beside its owner."""
        return f"secret {self.version} {self.name}"

    def expired(self, now: datetime) -> bool:
        """Whether it has run out."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A secret as it is listed: its versions, newest first."""

    name: str
    versions: Sequence[SecretVersion]

    @property
    def newest(self) -> SecretVersion:
        """The one that counts."""
        return self.versions[0]


def grouped(versions: Sequence[SecretVersion]) -> list[Kept]:
    """By name, each with its newest version first."""
    by_name: dict[str, list[SecretVersion]] = {}
    for each in sorted(versions, key=lambda each: (each.name, -each.version)):
        by_name.setdefault(each.name, []).append(each)
    return [Kept(name=name, versions=tuple(its)) for name, its in by_name.items()]


def checked_name(name: str) -> str:
    """The name itself, or Invalid."""
    if not NAME.fullmatch(name):
        raise Invalid(
            f"{name[:60]!r} can't be a secret's name.",
            field="key",
            hint="1 to 128 of letters, digits, '_', '.' and '-', beginning with a letter or '_'.",
        )
    return name


def checked_value(value: str) -> bytes:
    """The value in UTF-8, or Invalid, which says nothing of it."""
    try:
        plain = value.encode()
    except UnicodeEncodeError:
        raise Invalid("The value isn't text.", field="value", hint="Encode it, in base64 say.") from None
    if not plain or b"\0" in plain:
        raise Invalid("A value has at least one character, and no NUL.", field="value", hint="Encode it, if it has.")
    if len(plain) > VALUE_MAX_BYTES:
        raise Invalid(
            f"The value has {len(plain)} bytes, and {VALUE_MAX_BYTES} are the most.",
            field="value",
            hint="Large things belong in the tenant's folder.",
        )
    return plain
