"""A member of a tenant who has signed in, the way that a browser goes."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

import httpx2

from bench.plane import Plane
from innkeeper.api.console_session import COOKIE
from innkeeper.core.access import digest, new_secret
from innkeeper.edge.browsers import DOOR_COOKIE, KNOCK_COOKIE

MAIL, PASSWORD = "member@example.com", new_secret("b")


async def door_cookie(house: Plane, tenant: str) -> str:
    """Make somebody a member, let people in to the tenant, sign in at the console and come to the door with a ticket:
    the Cookie header that opens it from then on."""
    async with house.api() as api:
        _done(await api.post("/v1/users", json={"mail": MAIL, "password": PASSWORD}))
        _done(await api.put(f"/v1/tenants/{tenant}/members/{MAIL}"))
        _done(await api.patch(f"/v1/tenants/{tenant}?wait=30", json={"access": "guarded"}))
    knock = new_secret("n")
    door, console = f"{tenant}.localhost:{house.edge_port}", f"console.localhost:{house.edge_port}"
    async with httpx2.AsyncClient(base_url=house.edge_url, trust_env=False, timeout=30) as edge:
        form, here = {"mail": MAIL, "password": PASSWORD}, {"Host": console, "Origin": f"http://{console}"}
        session = _cookie(await edge.post("/sign-in", data=form, headers=here), COOKIE)
        asked = urlencode({"host": door, "to": "/", "knock": digest(knock)})
        sent = await edge.get(f"/enter?{asked}", headers={"Host": console, "Cookie": f"{COOKIE}={session}"})
        back = urlsplit(sent.headers["location"])
        known = {"Host": door, "Cookie": f"{KNOCK_COOKIE.decode()}={knock}"}
        entered = await edge.get(f"{back.path}?{back.query}", headers=known)
    return f"{DOOR_COOKIE.decode()}={_cookie(entered, DOOR_COOKIE.decode())}"


def _cookie(answer: httpx2.Response, name: str) -> str:
    for line in answer.headers.get_list("set-cookie"):
        named, _, rest = line.partition("=")
        if named == name:
            return str(rest.partition(";")[0])
    raise AssertionError(f"no {name}: {answer.status_code} {answer.text[:300]}")


def _done(answer: httpx2.Response) -> None:
    assert answer.is_success, answer.text
