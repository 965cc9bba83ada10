"""Answers that come compressed though nobody asked for it, unpacked piece by piece: a small one may hold gigabytes."""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, Iterator

import httpx2

from innkeeper.broker.problems import ProviderFault

PIECE = 64 * 1024
"""Bytes that are unpacked at once, at most."""
_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""zlib's `wbits` for the codings of RFC 9110, 8.4.1."""


def coding_of(response: httpx2.Response) -> str:
    """How the body is packed, empty for not at all; ProviderFault where it is packed in another way, or more than once.

    Twice is as bad as never: what is packed a thousandfold, a thousandfold, is nothing that anybody sends.
    """
    coding: str = response.headers.get("content-encoding", "").strip().lower()
    if coding in ("", "identity") or response.request.method == "HEAD":
        return ""
    if coding not in _WINDOWS:
        raise ProviderFault(f"The provider packed its answer ({coding[:40]}), which nobody asked for.", hint="")
    return coding


async def unpacked(response: httpx2.Response, coding: str) -> AsyncGenerator[bytes, None]:
    """The body as it comes, in pieces; raises ProviderFault where it can't be unpacked."""
    if not coding:
        async for chunk in response.aiter_raw():
            yield chunk
        return
    unpacker = _Unpacker(_WINDOWS[coding])
    async for chunk in response.aiter_raw():
        for piece in unpacker.feed(chunk):
            yield piece
    unpacker.end()


class _Unpacker:
    """One member after the other, as gzip has them (RFC 1952, 2.2)."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._member = zlib.decompressobj(window)
        self._begun = False

    def feed(self, packed: bytes) -> Iterator[bytes]:
        """What is in it."""
        while packed:
            if self._member.eof:
                self._member = zlib.decompressobj(self._window)
            self._begun = True
            try:
                piece = self._member.decompress(packed, PIECE)
            except zlib.error as error:
                raise ProviderFault("The provider's answer can't be unpacked.", hint="") from error
            if piece:
                yield piece
            packed = self._member.unused_data or self._member.unconsumed_tail

    def end(self) -> None:
        """Nothing more comes."""
        if self._begun and not self._member.eof:
            raise ProviderFault("The provider's answer ends before all of it is unpacked.", hint="")
