"""The console's pages that connect a tenant to another service: there, and back. Not part of the documented API."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from innkeeper.api.console import form_of, refused
from innkeeper.api.console_pages import connect_page, connected_page, onward_page
from innkeeper.api.console_session import check_own_page, signed_in
from innkeeper.api.deps import Inn, TheInn
from innkeeper.api.visitors import address_of, request_id_of
from innkeeper.core.access import Action, Actor, allow
from innkeeper.core.denials import Denial
from innkeeper.core.errors import Forbidden, Problem, Unauthenticated
from innkeeper.core.people import Session

router = APIRouter(prefix="/integrations", include_in_schema=False)
Word = Annotated[str, Query(max_length=100)]


@router.get("/connect")
async def ask(request: Request, inn: TheInn, tenant: Word, integration: Word) -> Response:
    """Whether that is really to be connected to that tenant. Whoever follows a link sees here what it would do."""
    found = signed_in(request, inn.people.identities)
    if found is None:
        here = f"/integrations/connect?tenant={quote(tenant, safe='')}&integration={quote(integration, safe='')}"
        return RedirectResponse(f"/sign-in?then={quote(here, safe='')}", 303)
    try:
        _check(request, inn, found[1], tenant)
        title = inn.integrations.known(integration).title
        await inn.control.tenant(tenant)
    except Problem as problem:
        return refused(problem)
    return connect_page(found[1], tenant=tenant, integration=integration, title=title)


@router.post("/connect")
async def begin(request: Request, inn: TheInn) -> Response:
    """Away to the service."""
    form = await form_of(request)
    tenant, integration = form.get("tenant", ""), form.get("integration", "")
    try:
        check_own_page(request, "POST")
        session, actor = _signed_in(request, inn)
        _check(request, inn, actor, tenant)
        url = await inn.integrations.begin(tenant, integration, session=session)
    except Problem as problem:
        return refused(problem)
    return onward_page(url, title="On to the service")


@router.get("/callback/{integration}")
async def back(integration: str, request: Request, inn: TheInn) -> Response:
    """Back from there, in the same browser; each way back is good once."""
    try:
        session, actor = _signed_in(request, inn)
        who = replace(actor, address=address_of(request), request=request_id_of(request))
        answer = dict(request.query_params)
        connection = await inn.integrations.finish(integration, answer, session=session, actor=who)
        title = inn.integrations.known(integration).title
    except Problem as problem:
        return refused(problem)
    return connected_page(tenant=connection.tenant, title=title)


def _signed_in(request: Request, inn: Inn) -> tuple[Session, Actor]:
    found = signed_in(request, inn.people.identities)
    if found is None:
        raise Unauthenticated("You aren't signed in with this browser.", hint="Sign in, then begin again.")
    return found


def _check(request: Request, inn: Inn, actor: Actor, tenant: str) -> None:
    if not allow(actor, Action.SECRETS, tenant):
        came = {"address": address_of(request), "request": request_id_of(request)}
        inn.denials.note(Denial.PERMISSION, actor=actor, action=Action.SECRETS, tenant=tenant, **came)
        raise Forbidden(f"{actor.name} may not connect anything to {tenant[:60]}.", hint="Its owner can.")
