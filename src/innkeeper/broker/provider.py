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

    kind: ClassVar[str]
    endpoints: ClassVar[frozenset[Endpoint]]

    def __init__(self, *, base_url: str, name: str = "") -> None:
        self.base_url = base_url.rstrip("/")
        self.name = name or self.kind

    @abstractmethod
    def route(self, call: Call, key: str) -> Route:
        """Where the call goes, with that key or, where it is empty, with none. No other headers reach the provider."""
