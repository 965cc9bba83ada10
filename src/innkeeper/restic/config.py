"""A config written anew for a repository that has lost its own, by the key that is still there.

What a config says beside the format's version is an id, which nothing refers to, and how files are cut, which counts
only for what is alike in the next snapshot: another one opens all that is kept.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field

from innkeeper.restic.blank import VERSION, sealed, unsealed


@dataclass(frozen=True, kw_only=True)
class Master:
    """What a repository's files are encrypted and authenticated with."""

    encrypt: bytes = field(repr=False)
    authenticate: bytes = field(repr=False)


def master_in(key: bytes, password: str) -> Master | None:
    """What the key's file holds, for who has its password; None: it isn't of this password, or no key."""
    try:
        told = json.loads(key)
        derived = hashlib.scrypt(
            password.encode(),
            salt=base64.b64decode(told["salt"]),
            n=told["N"],
            r=told["r"],
            p=told["p"],
            maxmem=1 << 30,
            dklen=64,
        )
        plain = unsealed(base64.b64decode(told["data"]), derived[:32], derived[32:])
        master = json.loads(plain)
        authenticate = base64.b64decode(master["mac"]["k"]) + base64.b64decode(master["mac"]["r"])
        return Master(encrypt=base64.b64decode(master["encrypt"]), authenticate=authenticate)
    except (KeyError, TypeError, ValueError):
        return None


def config_anew(master: Master, polynomial: str) -> bytes:
    """The file's content."""
    config = {"version": VERSION, "id": secrets.token_hex(32), "chunker_polynomial": polynomial}
    return sealed(json.dumps(config).encode(), master.encrypt, master.authenticate)
