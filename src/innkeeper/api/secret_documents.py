"""Secrets as they go in and as they are listed: a value never comes out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Path
from pydantic import AwareDatetime, Field

from innkeeper.api.forms import Body, Document, ItemsOf
from innkeeper.core.secrets import Kept

Key = Annotated[
    str,
    Path(
        description="The secret's name: 1 to 128 of letters, digits, '_', '.' and '-', beginning with a letter or '_'.",
        examples=["TELEGRAM_TOKEN"],
    ),
]


class SetSecret(Body):
    """A value."""

    value: str = Field(repr=False, json_schema_extra={"format": "password", "writeOnly": True})
    """1 character to 64 KiB of text, line breaks included; no NUL. It is in no answer, ever."""
    expires_at: AwareDatetime | None = Field(default=None, examples=["2027-01-31T00:00:00Z"])
    """When nobody may use it any more; null: it doesn't end by itself."""


class RotateSecret(Body):
    """A new value for a secret that is there, or an earlier one again."""

    value: str | None = Field(default=None, repr=False, json_schema_extra={"format": "password", "writeOnly": True})
    """The new value."""
    back_to: int | None = Field(default=None, ge=1, examples=[3])
    """Instead of a value: the version whose value is to count again, under a new number."""
    expires_at: AwareDatetime | None = Field(default=None, examples=["2027-01-31T00:00:00Z"])
    """When nobody may use it any more; null: it doesn't end by itself."""


class VersionDocument(Document):
    """One value that a secret has or had."""

    version: int
    created_at: datetime
    created_by: str
    """Who set it, as the audit trail names them."""
    expires_at: datetime | None


class SecretDocument(Document):
    """A secret, without its value."""

    name: str
    version: int
    """The newest, which counts."""
    created_at: datetime
    """When that was set."""
    created_by: str
    expires_at: datetime | None
    expired: bool
    versions: list[VersionDocument]
    """Those that are kept, newest first."""


class SecretPage(ItemsOf[SecretDocument]):
    """All secrets of one owner."""


def secret_document(secret: Kept, now: datetime) -> SecretDocument:
    """A secret as the API shows it."""
    versions = [
        VersionDocument(
            version=each.version, created_at=each.created_at, created_by=each.created_by, expires_at=each.expires_at
        )
        for each in secret.versions
    ]
    newest = versions[0].model_dump()
    return SecretDocument(name=secret.name, expired=secret.newest.expired(now), versions=versions, **newest)
