"""What can go wrong while a tenant is held still."""

from __future__ import annotations

from innkeeper.core.errors import Kind, Problem


class FrozenTooLong(Problem):
    """The tenant was frozen for a copy that didn't end, and goes on without it."""

    code = "frozen_too_long"
    kind = Kind.UNAVAILABLE
    default_hint = "Try again when the disk has less to do; what had been copied is dropped."
