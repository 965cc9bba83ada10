"""How a key is put on a call to a plain HTTP API."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import quote, unquote_plus

_SHORTEST_PART = 8
"""A shorter part of USER:PASSWORD isn't blotted out by itself: it may be any word."""


@dataclass(frozen=True, kw_only=True)
class Credential:
    """A key where the API wants it: in a header or in the query."""

    header: tuple[str, str] | None = field(default=None, repr=False)
    parameter: str = field(default="", repr=False)
    """As it stands in a query."""
    secrets: tuple[str, ...] = field(repr=False)
    """Every form of the key that an answer could give away."""
    alone: tuple[str, ...] = field(default=(), repr=False)
    """What is a secret by itself, though the vault knows it as a part of something longer."""


def credential(inject: str, key: str) -> Credential:
    """The key in the way that the provider's `inject` says; nothing for an empty key."""
    if not key:
        return Credential(secrets=())
    how, _, name = inject.partition(":")
    match how:
        case "header":
            return Credential(header=(name.lower(), key), secrets=(key,))
        case "query":
            return Credential(parameter=f"{quote(name)}={quote(key, safe='')}", secrets=(key, quote(key, safe="")))
        case "basic":
            encoded = b64encode(key.encode()).decode()
            parts = [part for part in key.split(":", 1) if len(part) >= _SHORTEST_PART]
            return Credential(
                header=("authorization", f"Basic {encoded}"),
                secrets=(encoded, key, *parts),
                alone=(key.partition(":")[2],),
            )
        case _:
            return Credential(header=("authorization", f"Bearer {key}"), secrets=(key,))


def is_place_of(inject: str, header: str) -> bool:
    """Whether the header is where the key goes, in whatever spelling a server may take for the same."""
    how, _, name = inject.partition(":")
    return how == "header" and header.lower().replace("_", "-") == name.lower().replace("_", "-")


def without_parameter(query: str, inject: str) -> str:
    """The query without the parameter where the key goes; everything else of it as it was."""
    how, _, name = inject.partition(":")
    if how != "query":
        return query
    return "&".join(part for part in query.split("&") if unquote_plus(part.partition("=")[0]).lower() != name.lower())
