"""Where calls are paid for: something is set aside before a call is sent, and what it used is settled after it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from innkeeper.broker.callers import Caller
from innkeeper.broker.calls import Call
from innkeeper.broker.metering import Reading


class Bill(Protocol):
    """One call's."""

    def settle(self) -> None:
        """The provider answered: charge what the reading says by now; once, however often it is asked for."""
        ...


class Till(Protocol):
    """Whoever decides what calls may cost."""

    def open(self, call: Call, reading: Reading, *, provider: str, model: str) -> AbstractAsyncContextManager[Bill]:
        """Let the call be sent within the block, or raise the Problem that it is refused with.

        Who leaves the block without having settled pays nothing, unless the call was given up after it was sent.
        """
        ...

    def knock(self, caller: Caller) -> None:
        """Let a call pass that uses no model, or raise the Problem that it is refused with."""
        ...


class _NoBill:
    def settle(self) -> None:
        """Nobody pays."""


NO_BILL = _NoBill()


class OpenHouse:
    """Everybody is the house's guest."""

    @asynccontextmanager
    async def open(self, call: Call, reading: Reading, *, provider: str, model: str) -> AsyncIterator[Bill]:
        """No call is refused or charged."""
        yield NO_BILL

    def knock(self, caller: Caller) -> None:
        """No call is refused."""
