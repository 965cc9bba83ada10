"""Integrations from what the settings say of them: bounds checked, errors naming their field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from innkeeper.core.addresses import is_safe
from innkeeper.core.errors import Invalid
from innkeeper.core.integration import ClientAuth, Integration
from innkeeper.core.uses_reading import NAME

REFERENCE = re.compile(r"\$\{(secret|env):([A-Za-z_][A-Za-z0-9_.-]{0,127})\}")
_SCOPE = re.compile(r"[!#-\[\]-~]{1,300}")
"""RFC 6749, appendix A.4."""
_OURS = frozenset({"response_type", "client_id", "client_secret", "redirect_uri", "scope", "state"})
_OURS |= {"code_challenge", "code_challenge_method"}
_FIELDS = frozenset(Integration.__dataclass_fields__) - {"name"}


def integration_of(name: str, said: Mapping[str, Any]) -> Integration:
    """An integration; raises Invalid."""
    field = f"integrations.{name}"
    if not NAME.fullmatch(name):
        raise Invalid(f"{name[:60]!r} can't be an integration's name.", field=field, hint="a-z, 0-9 and '-'.")
    if unknown := sorted(set(said) - _FIELDS):
        raise Invalid(f"There is no {unknown[0][:60]!r}.", field=field, hint=f"There are {', '.join(sorted(_FIELDS))}.")
    client_id = said.get("client_id")
    if not isinstance(client_id, str) or not 0 < len(client_id) <= 500 or not client_id.isprintable():
        raise Invalid("It needs a client id.", field=f"{field}.client_id", hint="What the service knows us by.")
    title = said.get("title", name)
    if not isinstance(title, str) or not 0 < len(title) <= 40 or not title.isprintable():
        raise Invalid("A title has 1 to 40 printable characters.", field=f"{field}.title")
    issuer = said.get("issuer")
    if issuer is not None and not is_safe(issuer):
        raise Invalid("An issuer is an https address.", field=f"{field}.issuer")
    secret, auth = _client(said, field)
    return Integration(
        name=name,
        title=title,
        authorize_url=_url(said, "authorize_url", field),
        token_url=_url(said, "token_url", field),
        revoke_url=_url(said, "revoke_url", field) if said.get("revoke_url") is not None else None,
        issuer=issuer,
        scopes=_scopes(said.get("scopes", ()), f"{field}.scopes"),
        client_id=client_id,
        client_secret=secret,
        client_auth=auth,
        parameters=_parameters(said.get("parameters", {}), f"{field}.parameters"),
    )


def _client(said: Mapping[str, Any], field: str) -> tuple[str | None, ClientAuth]:
    secret = said.get("client_secret")
    if secret is not None and not (isinstance(secret, str) and REFERENCE.fullmatch(secret)):
        # Not quoted: it may be the secret itself.
        raise Invalid(
            "The client's secret isn't named, but written out.",
            field=f"{field}.client_secret",
            hint="Put it into the platform's vault or the environment and name it: `${secret:NAME}`, `${env:NAME}`.",
        )
    usual = ClientAuth.NONE if secret is None else ClientAuth.BASIC
    word = said.get("client_auth", usual)
    if word not in tuple(ClientAuth):
        raise Invalid(f"{str(word)[:60]!r} isn't one of {', '.join(ClientAuth)}.", field=f"{field}.client_auth")
    auth = ClientAuth(word)
    if (auth is ClientAuth.NONE) is not (secret is None):
        raise Invalid("`client_secret` and `client_auth` don't go together.", field=f"{field}.client_auth")
    return secret, auth


def _url(said: Mapping[str, Any], name: str, field: str) -> str:
    url = said.get(name)
    if not isinstance(url, str) or not is_safe(url):
        raise Invalid(
            f"{name} isn't an https address.",
            field=f"{field}.{name}",
            hint="Like `https://accounts.example.com/token`; plain http only on this machine.",
        )
    return url


def _scopes(said: Any, field: str) -> tuple[str, ...]:
    words = said.split() if isinstance(said, str) else said
    if not isinstance(words, list | tuple) or len(words) > 100:
        raise Invalid("Scopes are a list of words.", field=field)
    for word in words:
        if not isinstance(word, str) or not _SCOPE.fullmatch(word):
            raise Invalid(f"{str(word)[:60]!r} can't be a scope.", field=field)
    return tuple(dict.fromkeys(words))


def _parameters(said: Any, field: str) -> Mapping[str, str]:
    if not isinstance(said, Mapping) or len(said) > 50:
        raise Invalid("Parameters are words by their name.", field=field)
    for name, value in said.items():
        if name in _OURS:
            raise Invalid(f"{name} is ours to say.", field=f"{field}.{name}")
        if not isinstance(value, str) or len(value) > 1000 or not value.isprintable():
            raise Invalid(f"{name[:60]!r} isn't a word.", field=field)
    return dict(said)
