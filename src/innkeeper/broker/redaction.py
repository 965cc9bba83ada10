"""Keeps the operator's key out of what a provider sends back."""

from __future__ import annotations

import re

_KEY_LIKE = re.compile(r"\b(?:sk|pk|key|rk)-[A-Za-z0-9_*.-]{4,}")
"""What keys look like, half masked ones too: providers quote a refused key in part."""


def redact_keys(text: str) -> str:
    """The text of an error without anything that looks like a key."""
    return _KEY_LIKE.sub("[redacted]", text)


def redact(data: bytes, secret: str) -> bytes:
    """The data with the secret blotted out, at the same length."""
    return data.replace(secret.encode(), b"*" * len(secret.encode())) if secret else data


class Redactor:
    """Blots one secret out of a stream of bytes, however it is cut, and never changes their number."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._start = secret.encode()
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """What may be sent on now: all but an end that could be the beginning of the secret."""
        if not self._secret:
            return chunk
        data = redact(self._held + chunk, self._secret)
        keep = self._suspect(data)
        self._held = data[keep:]
        return data[:keep]

    def rest(self) -> bytes:
        """What was held back and turned out to be harmless."""
        held, self._held = self._held, b""
        return held

    def _suspect(self, data: bytes) -> int:
        """Where an ending begins that is also the secret's beginning; the data's length when there is none."""
        first = self._start[:1]
        at = data.find(first, max(0, len(data) - len(self._start) + 1))
        while at >= 0 and not self._start.startswith(data[at:]):
            at = data.find(first, at + 1)
        return len(data) if at < 0 else at
