"""What goes wrong with the keyring."""

from __future__ import annotations

from innkeeper.core.errors import Kind, Problem


class KeyringFault(Problem):
    """The keyring, one of its keys or the admin token can't be used as it is; it is never replaced by a new one."""

    code = "keyring_fault"
    kind = Kind.UNAVAILABLE
    default_hint = "Restore it from an export (`innkeeper keyring import FILE`) or a backup: a new one opens nothing."


class KeyDestroyed(Problem):
    """The tenant's data key was destroyed; what it encrypted can't be read any more, nor anything be added."""

    code = "key_destroyed"
    kind = Kind.CONFLICT
    default_hint = "That is final: whoever was erased comes back as a new tenant."
