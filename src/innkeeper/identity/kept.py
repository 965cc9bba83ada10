"""Something fetched from outside and kept for a while: one fetch at a time; old, it serves while nobody answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from innkeeper.core.identity_errors import IdentityProviderAway

T = TypeVar("T")


class Kept(Generic[T]):
    """Fetches by `fetch` when asked and due. All times in seconds.

    It serves `fresh_s` without a look, and up to `stale_s` while the fetch fails. After a failure nothing is fetched
    for `failed_s`, and `newer` fetches no more often than every `newer_s`: callers get what there is, whatever they
    ask for and however many they are.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[T]],
        *,
        fresh_s: float,
        stale_s: float,
        newer_s: float = 60.0,
        failed_s: float = 10.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._fresh_s = fresh_s
        self._stale_s = stale_s
        self._newer_s = newer_s
        self._failed_s = failed_s
        self._now = now
        self._lock = asyncio.Lock()
        self._value: tuple[T, float] | None = None
        self._failure: tuple[str, float] | None = None

    async def get(self) -> T:
        """What is known; raises IdentityProviderAway when nothing is."""
        if not self._younger_than(self._fresh_s):
            async with self._lock:  # those who waited find it fetched
                if not self._younger_than(self._fresh_s):
                    await self._try()
        return self._what_there_is()

    async def newer(self) -> T:
        """What is known now that it lacks something, fetched anew if that wasn't done just before."""
        async with self._lock:
            if not self._younger_than(self._newer_s):
                await self._try()
        return self._what_there_is()

    async def _try(self) -> None:
        if self._failure is not None and self._now() - self._failure[1] < self._failed_s:
            return
        try:
            self._value = (await self._fetch(), self._now())
            self._failure = None
        except IdentityProviderAway as problem:
            self._failure = (problem.reason, self._now())

    def _what_there_is(self) -> T:
        if self._value is None or not self._younger_than(self._stale_s):
            raise IdentityProviderAway(self._failure[0] if self._failure else "nothing was fetched")
        return self._value[0]

    def _younger_than(self, age_s: float) -> bool:
        return self._value is not None and self._now() - self._value[1] < age_s
