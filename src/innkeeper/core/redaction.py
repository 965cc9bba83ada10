"""Nothing secret is told: by known values and by what credentials look like. Every sink asks here.

Who comes by a secret calls `hide` before anything else is done with it; who writes something down, shows or sends it
calls `redact` (or `redacted`, for a document).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar, cast

from innkeeper.core.credential_patterns import without_patterns
from innkeeper.core.known_secrets import MARK, KnownSecrets

_ROUNDS = 8
"""What is left may look like a credential again; after so many looks it is left at that."""
_known = KnownSecrets()
_MEMBER = re.compile(r"[a-z]{1,16}(?:_[a-z]{1,16}){0,3}")
T = TypeVar("T")


def hide(secret: str, *, for_s: float | None = None, chosen: bool = False) -> None:
    """Make `secret` (a provider's key, a password) disappear from everything that is redacted from now on.

    With `for_s` it may be forgotten so many seconds after it was last hidden, but is so only for want of room: for what
    is revealed from the vault again and again. `chosen` is what a tenant's owner may have made up: ordinary words,
    numbers, dates and addresses aren't hidden then, for the log is about others, too.
    """
    _known.hide(secret, for_s=for_s, chosen=chosen)


def redact(text: str) -> str:
    """`text` without credentials: those that were given to `hide`, and those that look like one. Never longer."""
    for _ in range(_ROUNDS):
        before, text = text, without_patterns(_without_known(text))
        if text == before:
            break
    return text


def redacted(document: T) -> T:
    """A document as JSON has them, with every string in it redacted, names too that aren't plain words."""
    return cast(T, _each(document))


def _each(part: object) -> object:
    match part:
        case str():
            return redact(part)
        case Mapping():
            return {name if _is_ours(name) else _each(name): _each(value) for name, value in part.items()}
        case list():
            return [_each(value) for value in part]
        case tuple():
            return tuple(_each(value) for value in part)
        case _:
            return part


def _is_ours(name: object) -> bool:
    """What the code itself calls a member: no value of anybody's can take it away."""
    return isinstance(name, str) and _MEMBER.fullmatch(name) is not None


def _without_known(text: str) -> str:
    kept, at = [], 0
    for start, end in _known.spans(text):
        kept += [text[at:start], MARK]
        at = end
    return "".join([*kept, text[at:]]) if kept else text
