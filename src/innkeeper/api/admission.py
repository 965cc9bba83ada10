"""The one authorization choke point: who asks, and may they? Each route declares what it is that they ask for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from innkeeper.api.console_session import check_own_page, signed_in
from innkeeper.api.deps import Inn, TheInn
from innkeeper.api.visitors import address_of, request_id_of
from innkeeper.core.access import Action, Actor, allow
from innkeeper.core.denials import Denial, looks_like
from innkeeper.core.errors import Forbidden, Unauthenticated

bearer = HTTPBearer(
    auto_error=False,
    description="The admin token, an API token, a tenant's key for that tenant's own routes, or a JWT of the issuer "
    "that the settings name.",
)
_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])
Whose = Callable[[Request, Inn], Awaitable[str | None]]


async def _named(request: Request, _inn: Inn) -> str | None:
    """The tenant in the path; None: it is about the house."""
    name: str | None = request.path_params.get("name")
    return name


async def asked_about(request: Request, _inn: Inn) -> str | None:
    """The tenant that the query names; None: all of them."""
    return request.query_params.get("tenant")


def needs(action: Action, *, of: Whose = _named) -> Callable[[_Endpoint], _Endpoint]:
    """Declare what a handler does, and to which tenant: the one in its path unless `of` finds another."""

    def declare(endpoint: _Endpoint) -> _Endpoint:
        endpoint.needs = (action, of)  # type: ignore[attr-defined]
        return endpoint

    return declare


def all_declared(router: APIRouter) -> APIRouter:
    """The router itself, whose every handler has declared what it does; a forgotten one ends the start."""
    for route in router.routes:
        endpoint = getattr(route, "endpoint", None)
        if not hasattr(endpoint, "needs"):
            raise TypeError(f"{endpoint} doesn't say what it needs")
    return router


@dataclass(frozen=True, kw_only=True)
class Guest:
    """Who was let in, and a way to ask again later whether they still are."""

    actor: Actor
    is_still_welcome: Callable[[], bool]

    def may(self, action: Action, tenant: str | None) -> bool:
        """Whether they may do something else as well: what isn't for them is left out of lists."""
        return allow(self.actor, action, tenant)

    @property
    def tenants(self) -> list[str]:
        """The tenants that they are something to, by name, as far as they may look at them."""
        return sorted(name for name in self.actor.tenants if self.may(Action.LOOK, name))


async def admitted(
    request: Request,
    inn: TheInn,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> Guest:
    """Let the request pass, or raise Unauthenticated or Forbidden."""
    return await _admit(request, inn, credentials.credentials if credentials else None)


async def admitted_with_x_auth_token(
    request: Request,
    inn: TheInn,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    x_auth_token: Annotated[str | None, Header(description="The admin token, as OCMT's clients send it.")] = None,
) -> Guest:
    """The same for routes whose clients know no bearer."""
    return await _admit(request, inn, x_auth_token or (credentials.credentials if credentials else None))


async def _admit(request: Request, inn: Inn, token: str | None) -> Guest:
    action, of = request.scope["endpoint"].needs
    tenant = await of(request, inn)
    asked: dict[str, Any] = {"action": action, "tenant": tenant}
    came: dict[str, Any] = {"address": address_of(request), "request": request_id_of(request)}
    try:
        actor, again = await _who(request, inn, token)
    except Unauthenticated:
        if token is None:
            inn.denials.note(Denial.MISSING)
        else:
            inn.denials.note(Denial.CREDENTIAL, **asked, **came, credential=looks_like(token))
        raise
    if not allow(actor, action, tenant):
        inn.denials.note(Denial.PERMISSION, actor=actor, **asked, **came)
        raise Forbidden("This credential isn't for that.", hint=f"It would need `{action}`; see the access reference.")

    def is_still_welcome() -> bool:
        now = again()
        return now is not None and now.id == actor.id and allow(now, action, tenant)

    return Guest(actor=replace(actor, **came), is_still_welcome=is_still_welcome)


async def _who(request: Request, inn: Inn, token: str | None) -> tuple[Actor, Callable[[], Actor | None]]:
    """Whoever has the credential, or is signed in to the console with this browser; and how to ask again."""
    if len(request.headers.getlist("authorization")) > 1:  # a proxy in front may have looked at the other one
        raise Unauthenticated("More than one credential came with the request.")
    if token is not None:
        actor = await inn.door.recognise(token)
        if actor is None:
            raise Unauthenticated("The credential isn't valid, or not any more.")
        return actor, lambda: inn.door.identify(token) or inn.people.identities.lasting(actor)
    found = signed_in(request, inn.people.identities)
    if found is None:
        raise Unauthenticated("This needs a credential.")
    check_own_page(request, request.method)
    session, actor = found

    def again() -> Actor | None:
        still = inn.people.identities.session(session.id)
        return still and still[1]

    return actor, again


TheGuest = Annotated[Guest, Depends(admitted)]
"""Who asks, as a handler's parameter."""
