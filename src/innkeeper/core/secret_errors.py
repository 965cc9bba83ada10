"""What goes wrong with secrets."""

from __future__ import annotations

from innkeeper.core.errors import Kind, NotFound, Problem


class SecretMissing(NotFound):
    """The vault holds no secret of that name."""

    code = "secret_missing"
    default_hint = "Set it with `innkeeper secret set NAME KEY`, or take the reference to it away."


class SecretExpired(Problem):
    """The secret's newest version has run out."""

    code = "secret_expired"
    kind = Kind.CONFLICT
    default_hint = "Set a new value with `innkeeper secret set`."


class SecretUnreadable(Problem):
    """A secret's ciphertext doesn't open: it is another's, was changed, or its data key is missing."""

    code = "secret_unreadable"
    kind = Kind.UNAVAILABLE
    default_hint = "Set it anew, after you have found out who changed the database."
