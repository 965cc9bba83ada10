"""Keeps the operator's key out of what a provider sends back."""

from __future__ import annotations

import re

_KEY_LIKE = re.compile(r"\b(?:sk|pk|key|rk)-[A-Za-z0-9_*.-]{4,}")
"""What keys look like, half masked ones too: providers quote a refused key in part."""


def redact_keys(text: str) -> str:
    """The text of an error without anything that looks like a key."""
    return _KEY_LIKE.sub("[redacted]", text)


def redact(data: bytes, *secrets: str) -> bytes:
    """The data with the secrets blotted out, at the same length."""
    for secret in secrets:
        if secret:
            data = data.replace(secret.encode(), b"*" * len(secret.encode()))
    return data


class Redactor:
    """Blots secrets out of a stream of bytes, however it is cut, and never changes their number."""

    def __init__(self, *secrets: str) -> None:
        self._each = [_One(secret.encode()) for secret in dict.fromkeys(secrets) if secret]

    def feed(self, chunk: bytes) -> bytes:
        """What may be sent on now: all but an end that could be the beginning of a secret."""
        for one in self._each:
            chunk = one.feed(chunk)
        return chunk

    def rest(self) -> bytes:
        """What was held back and turned out to be harmless."""
        held = b""
        for one in self._each:
            held = one.feed(held) + one.rest()
        return held


class _One:
    """Blots out one."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        data = (self._held + chunk).replace(self._secret, b"*" * len(self._secret))
        keep = self._suspect(data)
        self._held = data[keep:]
        return data[:keep]

    def rest(self) -> bytes:
        held, self._held = self._held, b""
        return held

    def _suspect(self, data: bytes) -> int:
        """Where an ending begins that is also the secret's beginning; the data's length when there is none."""
        first = self._secret[:1]
        at = data.find(first, max(0, len(data) - len(self._secret) + 1))
        while at >= 0 and not self._secret.startswith(data[at:]):
            at = data.find(first, at + 1)
        return len(data) if at < 0 else at
