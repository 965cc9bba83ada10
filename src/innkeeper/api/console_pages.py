"""The console's few pages for people: to sign in, to choose a tenant, and what went wrong. Nothing in them runs."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from string import Template
from urllib.parse import quote

from starlette.responses import HTMLResponse

from innkeeper.core.access import Actor
from innkeeper.core.redaction import redact

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --paper: #f6f4ef; --line: #cfc9bd; --key: #24507a }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e4da; --paper: #171b21; --line: #3a414c; --key: #8fb8e0 } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 24rem;
  margin: 12vh auto; padding: 0 1.2rem }
h1 { font-size: 1.3rem; margin: 0 0 1.2rem } label { display: block; margin: .8rem 0 .2rem }
input, button, .button { font: inherit; box-sizing: border-box; width: 100%; padding: .55rem .7rem; border-radius: 6px;
  border: 1px solid var(--line); background: transparent; color: inherit }
button, .button { display: block; margin-top: 1.1rem; background: var(--key); color: var(--paper); border: 0;
  text-align: center; text-decoration: none; cursor: pointer }
a { color: var(--key) } ul { padding-left: 1.1rem } .wrong { border-left: 3px solid #b3402a; padding-left: .8rem }
footer { margin-top: 2rem; font-size: .9rem } footer button { width: auto; margin: 0; padding: 0; background: none;
  color: var(--key); text-decoration: underline }
"""
_PAGE = Template(
    "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>$more"
    "<title>$title</title><link rel=icon href='data:,'><style>$style</style><main><h1>$title</h1>$body</main></html>"
)
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def page(title: str, body: str, *, status: int = 200, more: str = "") -> HTMLResponse:
    """A whole page; `body` and `more` are HTML already."""
    document = _PAGE.substitute(title=escape(title), style=_STYLE, body=body, more=more)
    return HTMLResponse(document, status_code=status, headers=HEADERS)


def sign_in_page(*, then: str, provider: str | None, wrong: str = "", status: int = 200) -> HTMLResponse:
    """Mail and password, and the identity provider where there is one."""
    said = f"<p class=wrong role=alert>{escape(wrong)}</p>" if wrong else ""
    other = (
        f'<a class=button href="/sign-in/provider?then={escape(quote(then, safe=""))}">'
        f"Sign in with {escape(provider)}</a>"
        if provider
        else ""
    )
    form = (
        f'<form method=post action="/sign-in"><input type=hidden name=then value="{escape(then)}">'
        "<label for=mail>Mail</label><input id=mail name=mail type=email autocomplete=username required>"
        "<label for=password>Password</label>"
        "<input id=password name=password type=password autocomplete=current-password required>"
        "<button>Sign in</button></form>"
    )
    return page("Sign in", said + other + form, status=status)


def home_page(actor: Actor, tenants: Iterable[tuple[str, str]]) -> HTMLResponse:
    """The tenants that one may enter, with their addresses."""
    items = "".join(f'<li><a href="{escape(url)}">{escape(name)}</a></li>' for name, url in tenants)
    body = f"<ul>{items}</ul>" if items else "<p>No tenant lets you in yet. Its owner can make you a member.</p>"
    out = "<form method=post action='/sign-out'><button>Sign out</button></form>"
    return page("Your agents", f"{body}<footer><p>{escape(actor.name)}</p>{out}</footer>")


def connect_page(actor: Actor, *, tenant: str, integration: str, title: str) -> HTMLResponse:
    """Asks whether a service is to be connected, and names whose agent would use it."""
    fields = "".join(
        f'<input type=hidden name={name} value="{escape(value)}">'
        for name, value in (("tenant", tenant), ("integration", integration))
    )
    body = (
        f"<p>The agent <strong>{escape(tenant)}</strong>, and whoever uses it, will act with your account at "
        f"<strong>{escape(title)}</strong>. Go on only if you wanted that.</p>"
        f'<form method=post action="/integrations/connect">{fields}<button>Go on to {escape(title)}</button></form>'
        f"<p><a href='/'>Leave it</a></p><footer><p>{escape(actor.name)}</p></footer>"
    )
    return page(f"Connect {title}", body)


def connected_page(*, tenant: str, title: str) -> HTMLResponse:
    """It is done."""
    body = f"<p>{escape(tenant)} is connected to {escape(title)}.</p><p><a href='/'>Home</a></p>"
    return page("Connected", body)


def onward_page(to: str, *, title: str = "Signed in") -> HTMLResponse:
    """On to another page, not by a redirect: a form's answer may lead to no other host (`form-action`)."""
    link = escape(to)
    more = f'<meta http-equiv="refresh" content="0;url={link}">'
    return page(title, f'<p><a href="{link}">Go on</a></p>', more=more)


def refusal_page(title: str, detail: str, hint: str, *, status: int) -> HTMLResponse:
    """What went wrong, and what to do."""
    return page(
        title,
        f"<p class=wrong>{escape(redact(detail))}</p><p>{escape(redact(hint))}</p><p><a href='/'>Home</a></p>",
        status=status,
    )
