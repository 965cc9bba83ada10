"""A provider's API: where and with which credentials a call is sent. One subclass for each provider."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from innkeeper.broker.calls import Call, Endpoint


@dataclass(frozen=True, kw_only=True)
class Route:
    """One outgoing request's address and headers; the key is nowhere else."""

    url: str
    headers: Mapping[str, str] = field(repr=False)


class Provider(ABC):
    """What differs between providers."""

    name: ClassVar[str]
    endpoints: ClassVar[frozenset[Endpoint]]

    def __init__(self, *, base_url: str, key: str) -> None:
        self.base_url = base_url.rstrip("/")
        self.key = key

    @abstractmethod
    def route(self, call: Call) -> Route:
        """Where the call goes. Only headers named here reach the provider."""
