"""From claims to what they grant: whatever has an unexpected shape, or isn't mapped, grants nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from innkeeper.core.identity import ROLES, TENANT_ROLES
from innkeeper.core.tenant import NAME

TENANTS_LIMIT = 500
"""More in one token are no list of somebody's tenants, and none of them is granted."""
_SUBJECT_LIMIT = 255
"""OpenID Connect Core 1.0, section 2."""
_MAIL_LIMIT = 254
"""RFC 3696, erratum 1690."""
_NAME_LIMIT = 200


def found(claims: object, path: str) -> object | None:
    """The claim at a dotted path, like `app_metadata.role`. A name that holds dots itself, like a URL, comes first."""
    if not isinstance(claims, Mapping):
        return None
    if path in claims:
        value: object = claims[path]
        return value
    head, dot, rest = path.partition(".")
    return found(claims.get(head), rest) if dot else None


def subject_from(value: object) -> str | None:
    """Who it is, if it can be one."""
    return value if isinstance(value, str) and 0 < len(value) <= _SUBJECT_LIMIT and value.isprintable() else None


def mail_from(value: object) -> str | None:
    """A mail address, if it looks like one."""
    if not isinstance(value, str) or len(value) > _MAIL_LIMIT or not value.isprintable() or " " in value:
        return None
    local, _, domain = value.rpartition("@")
    return value if local and domain and "@" not in local else None


def name_from(value: object) -> str | None:
    """How people call somebody, cut to a reasonable length."""
    return value[:_NAME_LIMIT] if isinstance(value, str) and value.isprintable() and value.strip() else None


def role_from(value: object, roles: Mapping[str, str]) -> str | None:
    """The strongest platform role that a word, or one of several, is mapped to."""
    given = {roles.get(word) for word in _words(value)}
    return next((role for role in ROLES if role in given), None)


def tenants_from(value: object, *, default: str, roles: Mapping[str, str]) -> dict[str, str]:
    """Tenants and the role in each, of a name, a list of names (which get `default`), or an object of names to roles.

    The roles of an object go through the map, or stand for themselves where there is none.
    """
    if isinstance(value, Mapping):
        named = {name: roles.get(role) if roles else role for name, role in value.items() if isinstance(role, str)}
    else:
        named = dict.fromkeys(_words(value), default)
    if len(named) > TENANTS_LIMIT:
        return {}
    return {name: role for name, role in named.items() if role in TENANT_ROLES and NAME.fullmatch(name)}


def _words(value: object) -> Sequence[str]:
    if isinstance(value, str):
        return [value]
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []
