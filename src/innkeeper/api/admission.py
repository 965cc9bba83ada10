"""The one authorization choke point: who asks, and may they? Declared once for each router."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from innkeeper.api.deps import Inn, TheInn
from innkeeper.core.access import Actor, allow
from innkeeper.core.errors import Forbidden, Unauthenticated

bearer = HTTPBearer(
    auto_error=False, description="The admin token, or a tenant's API key for that tenant's own routes."
)
_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])


def for_tenants_too(endpoint: _Endpoint) -> _Endpoint:
    """Mark a handler below /v1/tenants/{name} as open to that tenant's own keys; all others are for admins alone."""
    endpoint.for_tenants_too = True  # type: ignore[attr-defined]
    return endpoint


@dataclass(frozen=True, kw_only=True)
class Guest:
    """Who was let in, and a way to ask again later whether they still are."""

    actor: Actor
    is_still_welcome: Callable[[], bool]


def admitted(
    request: Request,
    inn: TheInn,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> Guest:
    """Let the request pass, or raise Unauthenticated or Forbidden."""
    return _admit(request, inn, credentials.credentials if credentials else None)


def admitted_with_x_auth_token(
    request: Request,
    inn: TheInn,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    x_auth_token: Annotated[str | None, Header(description="The admin token, as OCMT's clients send it.")] = None,
) -> Guest:
    """The same for routes whose clients know no bearer."""
    return _admit(request, inn, x_auth_token or (credentials.credentials if credentials else None))


def _admit(request: Request, inn: Inn, token: str | None) -> Guest:
    if token is None:
        raise Unauthenticated("This needs a credential.")
    actor = inn.door.identify(token)
    if actor is None:
        raise Unauthenticated("The credential isn't valid, or not any more.")
    own = request.path_params.get("name") if getattr(request.scope["endpoint"], "for_tenants_too", False) else None
    if not allow(actor, own):
        raise Forbidden(
            "This credential isn't for that.",
            hint="A tenant's API key is good for that tenant's own routes; the rest needs the admin token.",
        )
    return Guest(actor=actor, is_still_welcome=lambda: _still(inn, token, actor))


def _still(inn: Inn, token: str, actor: Actor) -> bool:
    return inn.door.identify(token) == actor


TheGuest = Annotated[Guest, Depends(admitted)]
"""Who asks, as a handler's parameter."""
