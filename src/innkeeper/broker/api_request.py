"""An agent's request to a plain HTTP API, judged and cleaned: what is judged is exactly what is sent."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote, urljoin, urlsplit, urlunsplit

from innkeeper.broker.callers import presented
from innkeeper.broker.exchange import Exchange, Headers
from innkeeper.broker.injection import Credential, is_place_of, without_parameter
from innkeeper.broker.patterns import matches
from innkeeper.broker.problems import PathNotAllowed, UnknownProvider
from innkeeper.core.errors import Invalid
from innkeeper.core.uses import ProviderSpec

PREFIX = b"/http/"

HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer"}
) | {"transfer-encoding", "upgrade"}
"""RFC 9110, 7.6.1, and what was used before it."""
_NOT_SENT = HOP_BY_HOP | {
    "host",
    "content-length",
    "accept-encoding",
    "expect",
    "cookie",
    # The agent's own token may stand in either.
    "authorization",
    "x-api-key",
    # Where the agent lives is nobody's business.
    "forwarded",
    "via",
    "x-real-ip",
}
_SAFE = "/:@!$&'()*+,;=~-._"
_ENCODED_TWICE = re.compile(r"%(?:2e|2f|5c|25)", re.IGNORECASE)
_ODD = re.compile(r"[\x00-\x1f\x7f\\]")
_NEVER = frozenset({"CONNECT", "TRACE"})


@dataclass(frozen=True, kw_only=True)
class ApiRequest:
    """What goes out, but for the credential."""

    provider: str
    method: str
    path: str
    """Below the base URL, decoded."""
    query: str
    headers: tuple[tuple[str, str], ...]

    def url(self, spec: ProviderSpec, credential: Credential) -> str:
        """Where to."""
        base = urlsplit(spec.base_url)
        query = "&".join(filter(None, [base.query, self.query, credential.parameter]))
        return urlunsplit((base.scheme, base.netloc, base.path.rstrip("/") + quote(self.path, safe=_SAFE), query, ""))


def read_request(exchange: Exchange, providers: Mapping[str, ProviderSpec]) -> ApiRequest:
    """The request to `/http/NAME/PATH`; raises UnknownProvider, PathNotAllowed, Invalid."""
    name, slash, rest = exchange.raw_path.removeprefix(PREFIX).partition(b"/")
    provider = name.decode("latin-1")
    if provider not in providers:
        raise UnknownProvider(f"There is no HTTP API {provider[:60]!r} here.")
    spec = providers[provider]
    path = _decoded((slash + rest).decode("latin-1"))
    if exchange.method in _NEVER or (spec.methods and exchange.method not in spec.methods):
        raise PathNotAllowed(f"{exchange.method[:20]} may not be used at {provider}.")
    if spec.paths and not matches((each if each.startswith("/") else f"/{each}" for each in spec.paths), path):
        raise PathNotAllowed(f"That path may not be called at {provider}.")
    query = exchange.query.decode("latin-1")
    tokens = presented(exchange.headers)
    if any(token in f"{path}?{unquote(query)}" for token in tokens):
        raise Invalid("The agent's own token stands in the URL.", hint="Send it as `Authorization: Bearer` alone.")
    return ApiRequest(
        provider=provider,
        method=exchange.method,
        path=path,
        query=without_parameter(query, spec.inject),
        headers=tuple(_sent(exchange, spec, tokens)),
    )


def passed_on(headers: Headers, *, decoded: bool) -> Iterator[tuple[str, str]]:
    """The headers of an API's answer that the agent gets, but for where a redirect leads; `decoded`: the body was."""
    pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers]
    left_out = _named_by_connection(pairs) | HOP_BY_HOP | {"set-cookie", "location", "refresh", "alt-svc"}
    left_out |= {"strict-transport-security"} | ({"content-length", "content-encoding"} if decoded else set())
    return (pair for pair in pairs if pair[0] not in left_out)


def inner_location(location: str, asked: str, spec: ProviderSpec, provider: str) -> str | None:
    """Where a redirect leads, as a path at the broker; None where it leads out of the API: nobody follows it there."""
    base = urlsplit(spec.base_url)
    root = base.path.rstrip("/")
    try:
        target = urlsplit(urljoin(asked, location))
        inside = (target.scheme, target.hostname, target.port) == (base.scheme, base.hostname, base.port)
    except ValueError:
        return None
    if not inside or not (target.path or "/").startswith(f"{root}/"):
        return None
    rest = (target.path or "/").removeprefix(root)
    inner = f"{PREFIX.decode()}{provider}{rest}" + (f"?{target.query}" if target.query else "")
    return quote(inner, safe=f"{_SAFE}%?")  # what isn't ASCII can't stand in a header


def _decoded(raw: str) -> str:
    """The path, decoded once; PathNotAllowed for all that another server might read otherwise."""
    try:
        path = unquote(raw, errors="strict")
    except UnicodeDecodeError:
        path = "\\"
    odd = re.search(r"%2f|%5c", raw, re.IGNORECASE) or _ENCODED_TWICE.search(path) or _ODD.search(path)
    if odd or any(segment.partition(";")[0] in (".", "..") for segment in path.split("/")):
        raise PathNotAllowed("That path can be read in more than one way.", hint="Send it without `..` and `%2F`.")
    return path


def _sent(exchange: Exchange, spec: ProviderSpec, tokens: Collection[str]) -> Iterator[tuple[str, str]]:
    pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in exchange.raw_headers]
    left_out = _NOT_SENT | _named_by_connection(pairs)
    for name, value in pairs:
        if name in left_out or name.startswith("x-forwarded-") or is_place_of(spec.inject, name):
            continue
        if not any(token in value for token in tokens):
            yield name, value


def _named_by_connection(pairs: Collection[tuple[str, str]]) -> frozenset[str]:
    named = (value for name, value in pairs if name == "connection")
    return frozenset(option.strip().lower() for value in named for option in value.split(","))
