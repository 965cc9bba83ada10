"""How many values a piece of JSON may hold: many small ones take far more time and room to read than their bytes tell.

32 MB of `[],` take nine seconds, in which nobody else is served, and 900 MB.
"""

from __future__ import annotations

BRACKETS_LIMIT = 500_000
"""Opening ones, those in texts counted with them."""
COMMAS_LIMIT = 1_000_000
"""A request as long as models take has a third of it."""
ANSWERED_COMMAS_LIMIT = 4_000_000
"""Two thousand embeddings of 1,536 numbers have three quarters of it."""


def is_readable(text: bytes, *, commas: int = COMMAS_LIMIT) -> bool:
    """Whether it may be parsed."""
    if len(text) <= BRACKETS_LIMIT:
        return True
    return text.count(b",") <= commas and text.count(b"{") + text.count(b"[") <= BRACKETS_LIMIT
