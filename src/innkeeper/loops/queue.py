"""A keyed queue: duplicates merge, one key is never worked on twice at once, and failures come back later and later.

The idea is dask-gateway's and the Kubernetes controllers': what is queued is a name, never a task, so that however
many events name a tenant, one look at it answers them all.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 60.0


class KeyedQueue:
    """Keys that wait to be worked on, keys that are, and keys that come back later."""

    def __init__(self, *, first_delay_s: float = FIRST_DELAY_S, longest_delay_s: float = LONGEST_DELAY_S) -> None:
        self._first_delay_s = first_delay_s
        self._longest_delay_s = longest_delay_s
        self._ready: deque[str] = deque()
        self._waiting: set[str] = set()
        self._working: dict[str, asyncio.Event] = {}
        self._again: set[str] = set()
        self._hinted: set[str] = set()
        self._later: dict[str, asyncio.TimerHandle] = {}
        self._failures: dict[str, int] = {}
        self._getters: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        """How many wait to be worked on now."""
        return len(self._ready)

    @property
    def working(self) -> int:
        """How many are being worked on."""
        return len(self._working)

    def add(self, key: str) -> None:
        """Look at `key` soon: at once, or again once whoever works on it now is done; also ends its nap."""
        if key in self._working:
            self._again.add(key)
            self._working[key].set()
            return
        if (timer := self._later.pop(key, None)) is not None:
            timer.cancel()
        if key not in self._waiting:
            self._waiting.add(key)
            self._ready.append(key)
            self._let_one_go()

    def hint(self, key: str) -> None:
        """Something happened to `key`, which may be what the work on it did itself: as `add`, but where that goes wrong
        its delay stands, or each try would be what calls for the next."""
        if key in self._working:
            self._working[key].set()
            self._hinted.add(key)
        elif not self._failures.get(key):
            self.add(key)

    def add_later(self, key: str, delay_s: float) -> None:
        """Look at `key` after a while, unless it is looked at before anyway."""
        if key in self._waiting or key in self._later:
            return
        self._later[key] = asyncio.get_running_loop().call_later(delay_s, self._due, key)

    async def get(self) -> str:
        """The next key; whoever gets it must call `done` or `failed`."""
        while not self._ready:
            getter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            try:
                await getter
            except asyncio.CancelledError:
                if getter.done() and not getter.cancelled():
                    self._let_one_go()  # the key that it was woken for is another's now
                raise
        key = self._ready.popleft()
        self._waiting.discard(key)
        self._working[key] = asyncio.Event()
        return key

    def take(self, key: str) -> bool:
        """Work on `key` at once, ahead of the line; whether nobody works on it already. Then as after `get`."""
        if key in self._working:
            return False
        if (timer := self._later.pop(key, None)) is not None:
            timer.cancel()
        if key in self._waiting:
            self._waiting.discard(key)
            self._ready.remove(key)
        self._working[key] = asyncio.Event()
        return True

    def done(self, key: str) -> None:
        """The work on `key` went well."""
        self._failures.pop(key, None)
        if key in self._hinted:
            self._again.add(key)
        self._finish(key)

    def failed(self, key: str) -> float:
        """The work on `key` went wrong; it comes back after the delay returned, twice as long each time."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay_s = min(self._longest_delay_s, self._first_delay_s * float(1 << min(failures - 1, 30)))
        if not self._finish(key):
            self.add_later(key, delay_s)
        return delay_s

    def put_back(self, key: str, delay_s: float) -> None:
        """`key` can't be worked on here just now, which is nobody's failure."""
        if not self._finish(key):
            self.add_later(key, delay_s)

    def failures(self, key: str) -> int:
        """How many times in a row the work on `key` went wrong."""
        return self._failures.get(key, 0)

    def nap(self, key: str) -> Callable[[float], Awaitable[None]]:
        """For whoever works on `key`: wait so many seconds, or until it is added again."""
        changed = self._working[key]

        async def wait(seconds: float) -> None:
            try:
                async with asyncio.timeout(seconds):
                    await changed.wait()
            except TimeoutError:
                return
            # The worker is about to look again, which is all that was asked for.
            changed.clear()
            self._again.discard(key)
            self._hinted.discard(key)

        return wait

    def _finish(self, key: str) -> bool:
        """Free the key; whether it went straight back into the queue."""
        del self._working[key]
        self._hinted.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)
            return True
        return False

    def _due(self, key: str) -> None:
        del self._later[key]
        self.add(key)

    def _let_one_go(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return
