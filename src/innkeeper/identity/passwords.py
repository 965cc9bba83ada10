"""Passwords as Argon2id hashes (RFC 9106), made and checked in threads of their own.

The parameters are the OWASP Password Storage Cheat Sheet's for Argon2id with the least memory that it counts as equal
in strength to the others: 19 MiB, 2 passes, 1 lane. RFC 9106 itself recommends 64 MiB and more, which for a control
plane that is to rest below 120 MB would be most of it.
"""

from __future__ import annotations

import asyncio
import ctypes
import re
import secrets
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from innkeeper.core.identity_errors import PasswordInvalid

MEMORY_KIB = 19_456
PASSES = 2
LANES = 1
AT_ONCE = 2
"""Each takes its memory while it runs, and a core."""
SHORTEST = 12
LONGEST = 256
_SALT_BYTES = 16
_HASH_BYTES = 32
_NOBODY = f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${'A' * 22}${'A' * 43}"
"""Well-formed, of today's parameters, and the hash of no password that anybody knows."""
_PHC = re.compile(r"\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d)\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}")
_MEMORY_LIMIT_KIB = 262_144
_M_MMAP_THRESHOLD = -3
_LARGE_BLOCK = 4 * 1024 * 1024


class Argon2Passwords:
    """The core's `Passwords`."""

    def __init__(self) -> None:
        # A pool rather than a semaphore: whoever gives up waiting doesn't make room for another while the work goes on.
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="passwords", initializer=_give_memory_back)

    def check(self, password: str, *, mail: str) -> None:
        """Raises PasswordInvalid for one that is too short or long, can't be typed, or is the mail."""
        if not SHORTEST <= len(password) <= LONGEST or _encoded(password) is None:
            raise PasswordInvalid(f"A password has {SHORTEST} to {LONGEST} characters.", field="password")
        if password.strip().casefold() == mail.strip().casefold():
            raise PasswordInvalid("The password may not be the mail address.", field="password", hint="Choose another.")

    async def hash(self, password: str) -> str:
        """A PHC string with a salt of its own."""
        encoded = _encoded(password)
        if encoded is None:
            raise PasswordInvalid("The password holds half a character.", field="password")
        return await asyncio.get_running_loop().run_in_executor(self._threads, _hash, encoded)

    async def verify(self, password: str, phc: str | None) -> bool:
        """Whether it is the one; some 20 ms, also where there is no hash, or no password that could be right."""
        encoded = _encoded(password) if len(password) <= LONGEST else None
        known = phc if phc is not None and _within_reason(phc) else None
        right = await asyncio.get_running_loop().run_in_executor(
            self._threads, _matches, encoded or b"", known or _NOBODY
        )
        return right and encoded is not None and known is not None

    def outdated(self, phc: str) -> bool:
        """Whether its parameters aren't today's."""
        found = _PHC.fullmatch(phc)
        return found is None or found.groups() != (str(MEMORY_KIB), str(PASSES), str(LANES))

    def close(self) -> None:
        """End the threads; what waits for them is cancelled."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _encoded(password: str) -> bytes | None:
    """The same bytes however a keyboard composes a letter (NIST SP 800-63B, 5.1.1.2); None: no text."""
    try:
        return unicodedata.normalize("NFKC", password).encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return None


def _give_memory_back() -> None:
    """Have large blocks returned to the system when they are freed (mallopt(3)); glibc would keep the last two, which
    for good would be a third of what the control plane takes. Nothing happens where there is another libc."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK)


def _hash(password: bytes) -> str:
    salt = secrets.token_bytes(_SALT_BYTES)
    argon2 = Argon2id(salt=salt, length=_HASH_BYTES, iterations=PASSES, lanes=LANES, memory_cost=MEMORY_KIB)
    return argon2.derive_phc_encoded(password)


def _matches(password: bytes, phc: str) -> bool:
    try:
        Argon2id.verify_phc_encoded(password, phc)
    except (InvalidKey, ValueError):
        return False
    return True


def _within_reason(phc: str) -> bool:
    """Whether it can be checked without taking the host's memory: a changed database mustn't do that."""
    found = _PHC.fullmatch(phc)
    return found is not None and int(found[1]) <= _MEMORY_LIMIT_KIB and int(found[2]) <= 20
