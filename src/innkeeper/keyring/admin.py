"""The first admin's token, in a file of 0600."""

from __future__ import annotations

from pathlib import Path

from innkeeper.core.access import new_secret
from innkeeper.keyring.faults import KeyringFault
from innkeeper.keyring.files import kept

_SHORTEST = 32


def admin_token(data: Path) -> str:
    """The first admin's token, kept in the data directory and made where there is none."""
    path = data / "admin-token"
    token = kept(path, _new_admin_token).decode(errors="replace").strip()
    if not token.startswith("ik_a_") or len(token) < len("ik_a_") + _SHORTEST:
        raise KeyringFault(f"{path} holds no admin token.", hint="Remove it to get a new token, then start again.")
    return token


def _new_admin_token() -> bytes:
    return f"{new_secret('a')}\n".encode()
