"""Identifiers that sort by the time they were made and are never used twice."""

from __future__ import annotations

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no letter that is mistaken for a digit

_LETTERS = 26

_last = 0


def new_id(prefix: str) -> str:
    """Like `op_01hf…`: 48 bits of milliseconds, then 80 random bits, in base 32 (ULID's layout).

    Within one process they sort in the order of their making, also those of one millisecond.
    """
    global _last  # noqa: PLW0603 - the whole point is to remember the last one
    number = (time.time_ns() // 1_000_000 << 80) | secrets.randbits(80)
    _last = number = max(number, _last + 1)
    return f"{prefix}_" + "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))


def is_id(prefix: str, text: str) -> bool:
    """Whether it is one that `new_id` could have made, and so fit for a file's name."""
    kind, _, number = text.partition("_")
    return kind == prefix and len(number) == _LETTERS and all(letter in _ALPHABET for letter in number)
