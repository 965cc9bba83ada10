"""Keeps the operator's key out of what a provider sends back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from innkeeper.core.known_secrets import spellings

_KEY_LIKE = re.compile(r"\b(?:sk|pk|key|rk)-[A-Za-z0-9_*.-]{4,}")
"""What keys look like, half masked ones too: providers quote a refused key in part."""


def redact_keys(text: str) -> str:
    """The text of an error without anything that looks like a key."""
    return _KEY_LIKE.sub("[redacted]", text)


@dataclass(frozen=True, kw_only=True)
class _Forms:
    """What is to be blotted out."""

    each: tuple[bytes, ...]
    """Each secret and its spellings, the longest first."""
    any_of: re.Pattern[bytes]
    heads: frozenset[int]
    characters: bytes
    """Every one that stands in any of them."""

    def blot(self, data: bytes) -> bytes:
        """All of it at once."""
        return self.any_of.sub(_blotted, data) if self.each else data

    def suspect(self, data: bytes, at: int) -> int:
        """Where an ending begins, from `at` on, that is also a secret's beginning; the data's length without one."""
        tail = data[max(at, len(data) - len(self.each[0]) + 1) :]
        offset = len(data) - len(tail)
        for begin in range(len(tail.rstrip(self.characters)), len(tail)):
            if tail[begin] in self.heads:
                ending = tail[begin:]
                if any(len(form) > len(ending) and form.startswith(ending) for form in self.each):
                    return offset + begin
        return len(data)


@lru_cache(maxsize=1024)
def _forms(secrets: tuple[str, ...]) -> _Forms:
    """Cached, for every call of a provider needs the same."""
    forms = {form.encode() for secret in secrets if secret for form in (secret, *spellings(secret))}
    each = tuple(sorted(forms, key=lambda form: (-len(form), form)))
    return _Forms(
        each=each,
        any_of=re.compile(b"|".join(map(re.escape, each))),
        heads=frozenset(form[0] for form in each),
        characters=bytes(sorted(set(b"".join(each)))),
    )


def _blotted(found: re.Match[bytes]) -> bytes:
    return b"*" * len(found[0])


def redact(data: bytes, *secrets: str) -> bytes:
    """The data with the secrets blotted out in every spelling, at the same length."""
    return _forms(secrets).blot(data)


class Redactor:
    """Blots secrets out of a stream of bytes, however it is cut and they are spelled, and never changes their number.

    They are met as they are, escaped as in JSON, in a URL, and in base64, also within something longer.
    """

    def __init__(self, *secrets: str) -> None:
        self._forms = _forms(secrets)
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """What may be sent on now: all but an end that could be the beginning of a secret."""
        if not self._forms.each:
            return chunk
        data, passed, at = self._held + chunk, list[bytes](), 0
        keep = self._forms.suspect(data, at)
        # What begins before the suspect end has ended by now: no longer spelling of it is still to come.
        while (found := self._forms.any_of.search(data, at)) is not None and found.start() < keep:
            passed += [data[at : found.start()], _blotted(found)]
            at = found.end()
            if at > keep:
                keep = self._forms.suspect(data, at)
        self._held = data[keep:]
        return b"".join([*passed, data[at:keep]])

    def rest(self) -> bytes:
        """What was held back and turned out to be harmless."""
        held, self._held = self._held, b""
        return self._forms.blot(held)
