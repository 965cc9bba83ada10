"""Nothing secret is told: by known values and by what credentials look like. Every sink asks here.

Who comes by a secret calls `hide` before anything else is done with it; who writes something down, shows or sends it
calls `redact` (or `redacted`, for a document).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar, cast

from innkeeper.core.credential_patterns import without_patterns
from innkeeper.core.known_secrets import MARK, KnownSecrets

_ROUNDS = 8
"""What is left may look like a credential again; after so many looks it is left at that."""
_known = KnownSecrets()
T = TypeVar("T")


def hide(secret: str, *, for_s: float | None = None) -> None:
    """Make `secret` (a provider's key, a password) disappear from everything that is redacted from now on.

    With `for_s` it may be forgotten so many seconds after it was last hidden, but is so only for want of room: for what
    is revealed from the vault again and again.
    """
    _known.hide(secret, for_s=for_s)


def redact(text: str) -> str:
    """`text` without credentials: those that were given to `hide`, and those that look like one. Never longer."""
    for _ in range(_ROUNDS):
        before, text = text, without_patterns(_without_known(text))
        if text == before:
            break
    return text


def redacted(document: T) -> T:
    """A document as JSON has them, with every string in it redacted, names too."""
    return cast(T, _each(document))


def _each(part: object) -> object:
    match part:
        case str():
            return redact(part)
        case Mapping():
            return {_each(name): _each(value) for name, value in part.items()}
        case list():
            return [_each(value) for value in part]
        case tuple():
            return tuple(_each(value) for value in part)
        case _:
            return part


def _without_known(text: str) -> str:
    kept, at = [], 0
    for start, end in _known.spans(text):
        kept += [text[at:start], MARK]
        at = end
    return "".join([*kept, text[at:]]) if kept else text
