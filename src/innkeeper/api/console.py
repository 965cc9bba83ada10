"""The console's pages: people sign in here, and are sent on to the tenants' doors. Not part of the documented API."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qs, quote

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from innkeeper.api.console_pages import home_page, onward_page, refusal_page, sign_in_page
from innkeeper.api.console_session import COOKIE, PENDING, check_own_page, set_cookie, signed_in
from innkeeper.api.deps import Inn, TheInn
from innkeeper.api.visitors import address_of, request_id_of
from innkeeper.core.access import Action, allow
from innkeeper.core.errors import Forbidden, Problem, Unauthenticated
from innkeeper.core.identity_errors import IdentityProviderAway, SignInFailed
from innkeeper.core.people import Session
from innkeeper.core.people_errors import TooManyAttempts
from innkeeper.core.signing_in import Visitor
from innkeeper.core.tenant import Access
from innkeeper.core.tickets import path_within
from innkeeper.problems import status_of, title_of

router = APIRouter(include_in_schema=False)
Then = Annotated[str, Query(max_length=3000)]
FORM_MAX = 16_384
FIELDS_MAX = 10
_WRONG = "That mail and password don't go together."


@router.get("/")
async def home(request: Request, inn: TheInn) -> Response:
    """Where one may go."""
    found = signed_in(request, inn.people.identities)
    if found is None:
        return RedirectResponse("/sign-in", 303)
    _, actor = found
    names = [each.name for each in inn.directory if allow(actor, Action.ENTER, each.name)]  # open ones are others', too
    tenants = [(name, inn.hosting.url(tenant)) for name in sorted(names) if (tenant := inn.directory.tenant(name))]
    return home_page(actor, tenants)


@router.get("/sign-in")
async def sign_in_form(inn: TheInn, then: Then = "/") -> Response:
    """The form."""
    return sign_in_page(then=path_within(then), provider=inn.provider.name if inn.provider else None)


@router.post("/sign-in")
async def sign_in(request: Request, inn: TheInn) -> Response:
    """Who fills in the form rightly is signed in."""
    form = await form_of(request)
    then = path_within(form.get("then", "/"))
    provider = inn.provider.name if inn.provider else None
    try:
        check_own_page(request, "POST")
        session, secret = await inn.people.signing_in.with_password(
            form.get("mail", ""), form.get("password", ""), visitor=_visitor(request)
        )
    except SignInFailed:
        return sign_in_page(then=then, provider=provider, wrong=_WRONG, status=401)
    except TooManyAttempts as problem:
        said = f"{problem.message} {problem.hint}"
        return sign_in_page(then=then, provider=provider, wrong=said, status=status_of(problem))
    except Problem as problem:
        return refused(problem)
    return _with_session(onward_page(then), session, secret, inn)


@router.get("/sign-in/provider")
async def to_provider(inn: TheInn, then: Then = "/") -> Response:
    """Away to the identity provider."""
    try:
        if inn.provider is None:
            raise IdentityProviderAway("none is set up")
        url, pending = await inn.provider.begin(_back(inn))
    except Problem as problem:
        return refused(problem)
    response = RedirectResponse(url, 303)
    set_cookie(response, PENDING, inn.people.envelopes.seal(pending.dumps(), path_within(then)), lasts_s=900)
    return response


@router.get("/sign-in/callback")
async def from_provider(request: Request, inn: TheInn) -> Response:
    """Back from there; a pending sign-in is good for one attempt."""
    try:
        opened = inn.people.envelopes.open(request.cookies.get(PENDING, ""))
        provider = inn.provider
        if provider is None or opened is None:
            raise SignInFailed("nothing pending in this browser")
        pending, then = opened
        session, secret = await inn.people.signing_in.with_provider(
            lambda: provider.finish(pending, _back(inn), dict(request.query_params)), visitor=_visitor(request)
        )
    except Problem as problem:
        response: Response = refused(problem)
    else:
        response = _with_session(onward_page(then), session, secret, inn)
    set_cookie(response, PENDING, "", lasts_s=0)
    return response


@router.post("/sign-out")
async def sign_out(request: Request, inn: TheInn) -> Response:
    """The end of the session, and of all that it opened."""
    found = signed_in(request, inn.people.identities)
    try:
        check_own_page(request, "POST")
        if found is not None:
            session, actor = found
            await inn.people.signing_in.end(session.id, actor=actor, own=True)
    except Problem as problem:
        return refused(problem)
    response = RedirectResponse("/sign-in", 303)
    set_cookie(response, COOKIE, "", lasts_s=0)
    return response


@router.get("/enter")
async def enter(request: Request, inn: TheInn, host: Then, to: Then = "/", knock: Then = "") -> Response:
    """From a tenant's door, and back to it with a ticket."""
    found = signed_in(request, inn.people.identities)
    if found is None:
        here = f"/enter?host={quote(host, safe='')}&to={quote(to, safe='')}&knock={quote(knock, safe='')}"
        return RedirectResponse(f"/sign-in?then={quote(here, safe='')}", 303)
    session, actor = found
    name = host.partition(":")[0].lower().rstrip(".")
    tenant = inn.directory.at_host(name)
    try:
        if tenant is None or not inn.door.admits(actor, tenant):
            raise Forbidden(f"{actor.name} may not enter {name[:100]}.", hint="Its owner can make you a member.")
        if tenant.spec.access is not Access.GUARDED:  # its gate takes no tickets: the tenant itself would get to see it
            return RedirectResponse(inn.hosting.origin(name) + path_within(to), 303)
        ticket = await inn.people.tickets.issue(session, tenant, host=name, path=to, binding=knock)
    except Problem as problem:
        return refused(problem)
    return RedirectResponse(f"{inn.hosting.origin(name)}/.innkeeper/enter?ticket={ticket}", 303)


async def form_of(request: Request) -> dict[str, str]:
    """What somebody has filled in; nothing of what is too large."""
    body = await request.body()
    if len(body) > FORM_MAX:
        return {}
    try:
        filled_in = parse_qs(body.decode("utf-8", "replace"), max_num_fields=FIELDS_MAX)
    except ValueError:  # no page of ours has so many
        return {}
    return {name: values[0] for name, values in filled_in.items()}


def _visitor(request: Request) -> Visitor:
    return Visitor(
        address=address_of(request), browser=request.headers.get("user-agent", ""), request=request_id_of(request)
    )


def _with_session(response: Response, session: Session, secret: str, inn: Inn) -> Response:
    lasts = session.expires_at - inn.clock.now()
    set_cookie(response, COOKIE, secret, lasts_s=max(0, round(lasts.total_seconds())))
    return response


def _back(inn: Inn) -> str:
    return f"{inn.hosting.console_origin}/sign-in/callback"


def refused(problem: Problem) -> Response:
    """What went wrong, as a page."""
    again = Unauthenticated.default_hint if not problem.hint else problem.hint
    return refusal_page(title_of(problem.code), problem.message, again, status=status_of(problem))
