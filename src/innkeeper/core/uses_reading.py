"""Uses from what a caller or a file says of them: bounds checked, errors naming their field."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import urlsplit

from innkeeper.core.errors import InvalidSpec
from innkeeper.core.uses import Budget, Egress, EgressMode, McpServer, ProviderKind, ProviderSpec, Uses

NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
"""Of providers, servers and plans: they stand in URLs and before the names of tools."""
ITEMS_MAX = 100
_PATTERN = re.compile(r"[!-~]{1,200}")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,80}")
_REFERENCE = re.compile(r"\$\{(?:secret|env|integration):([A-Za-z_][A-Za-z0-9_.-]{0,127})\}")
_SENSITIVE = re.compile(r"(?i)auth|cookie|token|key|secret|password|credential")
_NAMED = re.compile(r"\$\{(?:secret|integration):[^}]+\}")
_FRAMING = r"host|connection|content-length|transfer-encoding|upgrade|te|trailer|expect|cookie"
_INJECT = re.compile(rf"bearer|basic|query:[A-Za-z0-9_-]{{1,80}}|header:(?!(?i:{_FRAMING})$)[A-Za-z0-9_-]{{1,80}}")
_HOST = re.compile(r"(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
_Word = TypeVar("_Word", bound=StrEnum)
_TOKENS_MAX, _USD_MAX = 10**15, 10**9


def uses_of(said: Mapping[str, Any]) -> Uses:
    """Uses as they are kept or sent, checked; raises InvalidSpec."""
    plan = said.get("plan")
    if plan is not None and not NAME.fullmatch(plan):
        raise InvalidSpec(f"{plan[:60]!r} can't be a plan's name.", field="uses.plan")
    calls = said.get("calls_per_minute")
    if calls is not None and not 0 < calls <= 1_000_000:
        raise InvalidSpec(f"{calls} calls a minute can't be.", field="uses.calls_per_minute")
    return Uses(
        plan=plan,
        budget=budget_of(said.get("budget") or {}, "uses.budget"),
        calls_per_minute=calls,
        models=_patterns(said.get("models") or (), "uses.models"),
        providers={
            name: _own_provider_of(each, f"uses.providers.{name}")
            for name, each in _named(said.get("providers") or {}, "uses.providers")
        },
        mcp={
            name: _house_server(each, f"uses.mcp.{name}")
            if isinstance(each, str)
            else mcp_server_of(each, f"uses.mcp.{name}")
            for name, each in _named(said.get("mcp") or {}, "uses.mcp")
        },
        egress=_egress(said.get("egress") or {}),
    )


def changed_uses(uses: Uses, patch: Mapping[str, Any]) -> Uses:
    """`uses` with what the patch names in place of what was there, a budget's limits one by one; raises InvalidSpec."""
    said = dict(patch)
    if said.get("budget"):
        said["budget"] = {**asdict(uses.budget), **said["budget"]}
    return uses_of({**asdict(uses), **said})


def budget_of(said: Mapping[str, Any], field: str) -> Budget:
    """A budget; raises InvalidSpec."""
    for name, value in said.items():
        most = _USD_MAX if name.endswith("_usd") else _TOKENS_MAX
        if value is not None and not 0 <= value <= most:
            raise InvalidSpec(f"{value} can't be a budget.", field=f"{field}.{name}", hint=f"0 to {most}; null: none.")
    return Budget(**said)


def provider_of(said: Mapping[str, Any], field: str) -> ProviderSpec:
    """A provider; raises InvalidSpec."""
    keys = tuple(said.get("keys") or ())
    for number, key in enumerate(keys):
        if not _REFERENCE.fullmatch(key):
            # Not quoted: it may be the key itself.
            raise InvalidSpec(
                "A key isn't named, but written out.",
                field=f"{field}.keys.{number}",
                hint="Put it into the vault (`innkeeper secret set`) and name it: `${secret:NAME}`.",
            )
        _no_tokens_in_the_clear(key, f"{field}.keys.{number}")
    inject = said.get("inject") or "bearer"
    if not _INJECT.fullmatch(inject):
        raise InvalidSpec(
            f"{inject[:60]!r} doesn't say where the key goes.",
            field=f"{field}.inject",
            hint="`bearer`, `basic`, `header:X-Api-Key` or `query:key`.",
        )
    return ProviderSpec(
        kind=_word(ProviderKind, said["kind"], f"{field}.kind"),
        base_url=_url(said["base_url"], f"{field}.base_url"),
        keys=keys,
        models=_patterns(said.get("models") or (), f"{field}.models"),
        inject=inject,
        paths=_patterns(said.get("paths") or (), f"{field}.paths"),
        methods=tuple(method.upper() for method in said.get("methods") or ()),
    )


def _own_provider_of(said: Mapping[str, Any], field: str) -> ProviderSpec:
    """A tenant's own: the control plane's environment isn't the tenant's to read."""
    spec = provider_of(said, field)
    for number, key in enumerate(spec.keys):
        if key.startswith("${env:"):
            raise InvalidSpec(
                "Only the operator's settings can name the environment.",
                field=f"{field}.keys.{number}",
                hint="Put the key into the vault (`innkeeper secret set`) and name it: `${secret:NAME}`.",
            )
    return spec


def _house_server(name: str, field: str) -> str:
    if not NAME.fullmatch(name):
        # Not quoted, and not kept: it may be a credential that was put in the wrong place.
        raise InvalidSpec(
            "That can't be the name of one of the settings' servers.", field=field, hint="a-z, 0-9 and '-'."
        )
    return name


def mcp_server_of(said: Mapping[str, Any], field: str) -> McpServer:
    """A server of tools; raises InvalidSpec."""
    headers = dict(said.get("headers") or {})
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or not value.isprintable() or not value.isascii() or len(value) > 4096:
            raise InvalidSpec(f"{name[:60]!r} can't be sent as a header.", field=f"{field}.headers")
        if _SENSITIVE.search(name) and not _NAMED.search(value):
            raise InvalidSpec(
                f"{name} looks like a credential that is written out.",
                field=f"{field}.headers",
                hint="Put it into the vault and name it: `Bearer ${secret:NAME}`.",
            )
        _no_tokens_in_the_clear(value, f"{field}.headers")
    return McpServer(
        url=_url(said["url"], f"{field}.url"),
        headers=headers,
        allow=_patterns(said.get("allow", ("*",)), f"{field}.allow"),
        deny=_patterns(said.get("deny") or (), f"{field}.deny"),
        keep_arguments=bool(said.get("keep_arguments", False)),
    )


def _no_tokens_in_the_clear(value: str, field: str) -> None:
    # The vault keeps an integration's refresh token by that name, too, which is for nobody but its service.
    if "${secret:integration." in value:
        raise InvalidSpec(
            "An integration's tokens aren't given out.", field=field, hint="Name it: `${integration:NAME}`."
        )


def is_name(name: str) -> bool:
    """Whether this can stand in a list of names that may be reached (lower case, no final dot)."""
    return len(name) <= 253 and _HOST.fullmatch(name) is not None


def _egress(said: Mapping[str, Any]) -> Egress:
    names = tuple(dict.fromkeys(name.strip().lower().removesuffix(".") for name in said.get("names") or ()))
    for name in names:
        if not is_name(name):
            raise InvalidSpec(
                f"{name[:80]!r} isn't a name on the net.",
                field="uses.egress.names",
                hint="Like `api.github.com`, or `*.example.com` for all that lies below; addresses can't be allowed.",
            )
    if len(names) > 1000:
        raise InvalidSpec(f"{len(names)} names are too many.", field="uses.egress.names", hint="At most 1000.")
    mode = _word(EgressMode, said.get("mode") or EgressMode.OFF, "uses.egress.mode")
    return Egress(mode=mode, names=names)


def _named(said: Mapping[str, Any], field: str) -> Iterable[tuple[str, Any]]:
    if len(said) > ITEMS_MAX:
        raise InvalidSpec(f"{len(said)} are too many.", field=field, hint=f"At most {ITEMS_MAX}.")
    for name in said:
        if not NAME.fullmatch(name):
            raise InvalidSpec(f"{name[:60]!r} can't be a name here.", field=field, hint="a-z, 0-9 and '-'.")
    return said.items()


def _patterns(said: Iterable[str], field: str) -> tuple[str, ...]:
    patterns = tuple(dict.fromkeys(said))
    if len(patterns) > 1000:
        raise InvalidSpec(f"{len(patterns)} patterns are too many.", field=field, hint="At most 1000.")
    for pattern in patterns:
        if not _PATTERN.fullmatch(pattern):
            raise InvalidSpec(f"{pattern[:60]!r} isn't a pattern.", field=field, hint="Like `claude-*`.")
    return patterns


def _word(kind: type[_Word], said: str, field: str) -> _Word:
    try:
        return kind(said)
    except ValueError:
        raise InvalidSpec(f"{said[:60]!r} isn't one of {', '.join(kind)}.", field=field) from None


def _url(url: str, field: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    # No `@` anywhere: a password with a `/` in it looks like a port and a path.
    if not good or not url.isascii() or not url.isprintable() or " " in url or "@" in url or parts.fragment:
        raise InvalidSpec(
            f"{field.rpartition('.')[2]} isn't an address, or has a name or password in it.",
            field=field,
            hint="Like `https://api.example.com/v1`; in a path `@` is written `%40`.",
        )
    return url
