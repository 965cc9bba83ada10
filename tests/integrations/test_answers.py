"""Token endpoints that are slow, huge, or not what they should be, over real sockets: an answer or a clear error, in
bounded time and memory, and no secret in either."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from innkeeper.core.integration import ClientAuth, Grant, Integration
from innkeeper.core.integration_errors import GrantRefused, IntegrationAway
from innkeeper.core.secret_errors import SecretMissing
from innkeeper.integrations.authorization import OAuthServers
from tests.support.serving import serving
from tests.support.token_service import CLIENT_SECRET, TokenService

BACK = "http://console.localhost:8080/integrations/callback/google"
VERIFIER = "v" * 64


@asynccontextmanager
async def at(service: Any, *, timeout_s: float = 10, secret: str | None = None, **more: Any) -> AsyncIterator[Any]:
    """The client, and the integration that it talks to."""

    async def found(_: Integration) -> str | None:
        return secret

    async with serving(service) as url, httpx2.AsyncClient(trust_env=False) as client:
        integration = TokenService().integration(url=url, **more)
        yield OAuthServers(client, client_secret=found, timeout_s=timeout_s), integration


async def refreshed(service: Any, **more: Any) -> Grant:
    async with at(service, **more) as (servers, integration):
        grant = await servers.refresh(integration, "the-refresh-token")
        assert isinstance(grant, Grant)
        return grant


async def test_the_whole_flow_over_a_socket() -> None:
    service = TokenService()
    async with at(service) as (servers, integration):
        page = servers.page(integration, redirect_uri=BACK, state="s", verifier=VERIFIER)
        code = service.approve(page)["code"]
        grant = await servers.exchange(integration, code, redirect_uri=BACK, verifier=VERIFIER)
        assert (grant.access_token, grant.refresh_token, grant.expires_in_s) == ("access-2", "refresh-2", 3600)
        again = await servers.refresh(integration, grant.refresh_token)
        assert (again.access_token, again.refresh_token) == ("access-3", "refresh-3")
        assert await servers.revoke(integration, again.refresh_token, kind="refresh_token")
        assert service.revoked == ["refresh-3"]
        assert all(form["client_id"] == "innkeeper" for form in service.asked)
        with pytest.raises(GrantRefused, match="invalid_grant") as refused:
            await servers.exchange(integration, code, redirect_uri=BACK, verifier=VERIFIER)
        assert refused.value.final


@pytest.mark.parametrize("wrong", ["verifier", "redirect"])
async def test_a_code_wants_its_verifier_and_its_place(wrong: str) -> None:
    service = TokenService()
    async with at(service) as (servers, integration):
        code = service.approve(servers.page(integration, redirect_uri=BACK, state="s", verifier=VERIFIER))["code"]
        place = {"redirect_uri": BACK, "verifier": VERIFIER}
        place |= {"verifier": "w" * 64} if wrong == "verifier" else {"redirect_uri": BACK + "/x"}
        with pytest.raises(GrantRefused):
            await servers.exchange(integration, code, **place)


async def test_a_secret_is_sent_as_the_service_wants_it() -> None:
    named = {"client_secret": "${secret:google}", "secret": CLIENT_SECRET}
    service = TokenService()
    service.answer = 200, b'{"access_token": "a"}'
    await refreshed(service, **named)
    scheme, _, words = service.authorizations[0].partition(" ")
    # RFC 6749, 2.3.1: form-encoded, then joined by a colon, which so can't be one of the secret's own.
    assert (scheme, base64.b64decode(words)) == ("Basic", b"innkeeper:s%3Ae%25c+r%2Bt")
    assert "client_secret" not in service.asked[0]
    await refreshed(service, **named, client_auth=ClientAuth.POST.value)
    assert service.authorizations[1] == ""
    assert (service.asked[1]["client_id"], service.asked[1]["client_secret"]) == ("innkeeper", CLIENT_SECRET)


async def test_without_its_secret_nothing_is_asked() -> None:
    service = TokenService()

    async def missing(_: Integration) -> str | None:
        raise SecretMissing("There is no secret 'google'.")

    async with serving(service) as url, httpx2.AsyncClient(trust_env=False) as client:
        with pytest.raises(SecretMissing):
            await OAuthServers(client, client_secret=missing).refresh(service.integration(url=url), "r")
    assert service.asked == []


def answering(status: int, body: bytes, *headers: tuple[bytes, bytes]) -> TokenService:
    service = TokenService()
    service.answer, service.headers = (status, body), list(headers)
    return service


@pytest.mark.parametrize(
    ("service", "says"),
    [
        (answering(500, b"oops"), "500"),
        (answering(503, b'{"error": "invalid_grant"}'), "503"),
        (answering(429, b'{"error": "invalid_grant"}'), "429"),
        (answering(200, b"<html>hello</html>", (b"content-type", b"text/html")), "no JSON object"),
        (answering(404, b"<html>hello</html>"), "404"),
        (answering(200, b""), "no JSON object"),
        (answering(200, b'["access_token"]'), "no JSON object"),
        (answering(200, b"[" * 60_000), "no JSON object"),
        (answering(200, b'{"a": "' + b"x" * 70_000 + b'"}'), "more than 65536"),
        (answering(302, b"", (b"location", b"http://169.254.169.254/")), "302"),
        (answering(401, b'{"message": "who are you"}'), "401"),
        (answering(200, b"\x1f\x8b", (b"content-encoding", b"gzip")), "compressed"),
        (answering(200, b"{}"), "without a token"),
        (answering(200, b'{"access_token": 7}'), "without a token"),
        (answering(200, b'{"access_token": "a\\r\\nX-Evil: 1"}'), "without a token"),
        (answering(200, b'{"access_token": "\xc3\xa4"}'), "without a token"),
        (answering(200, b'{"access_token": "a", "refresh_token": ["r"]}'), "without a token"),
        (answering(200, b'{"access_token": "a", "token_type": "mac"}'), "another kind"),
        (answering(200, b'{"access_token": "a", "token_type": null}'), "another kind"),
    ],
)
async def test_what_makes_no_sense_is_tried_again_later(service: TokenService, says: str) -> None:
    with pytest.raises(IntegrationAway, match=says):
        await refreshed(service)


@pytest.mark.parametrize("status", [200, 400, 401])
@pytest.mark.parametrize("error", ["invalid_grant", "bad_refresh_token", "invalid_refresh_token"])
async def test_some_refusals_are_for_good_whatever_status_they_come_with(status: int, error: str) -> None:
    with pytest.raises(GrantRefused, match=error) as refused:
        await refreshed(answering(status, json.dumps({"error": error}).encode()))
    assert refused.value.final


@pytest.mark.parametrize("error", ["invalid_client", "temporarily_unavailable", {"code": 7}, 7, "", "x" * 5000])
async def test_others_arent_and_are_told_in_one_line(error: object) -> None:
    with pytest.raises(GrantRefused) as refused:
        await refreshed(answering(400, json.dumps({"error": error}).encode()))
    assert not refused.value.final
    assert len(refused.value.message) < 400


async def test_what_a_service_quotes_of_our_secrets_goes_no_further() -> None:
    said = {"error": "invalid_grant", "error_description": "the-refresh-token\n\x1b[31m is too old"}
    with pytest.raises(GrantRefused) as refused:
        await refreshed(answering(400, json.dumps(said).encode()))
    assert refused.value.message == "Google refused: invalid_grant: …[31m is too old."


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (3600, 3600),
        ("3600", 3600),
        (0.5, 0.5),
        (0, None),
        (-5, None),
        ("soon", None),
        (None, None),
        (True, None),
        (1e300, 316_224_000),
        ("inf", None),
        ("nan", None),
        ([], None),
    ],
)
async def test_how_long_a_token_lasts_is_read_from_whatever_can_be_read(said: object, seconds: float | None) -> None:
    body = json.dumps({"access_token": "a", "expires_in": said}).encode()
    assert (await refreshed(answering(200, body))).expires_in_s == seconds


class Silent:
    """Takes a request, and says nothing; or says it a byte at a time."""

    def __init__(self, *, drips: bool) -> None:
        self.drips = drips

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.drips:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"{", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass


@pytest.mark.parametrize("drips", [False, True])
async def test_who_hangs_is_left_in_time(drips: bool) -> None:
    with pytest.raises(IntegrationAway, match=r"within 0\.1 s"):
        await refreshed(Silent(drips=drips), timeout_s=0.1)


class Endless:
    """Says more than there is."""

    def __init__(self) -> None:
        self.sent = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while self.sent < 1 << 30:
            await send({"type": "http.response.body", "body": b" " * 65536, "more_body": True})
            self.sent += 65536


async def test_a_gigabyte_isnt_read() -> None:
    endless = Endless()
    with pytest.raises(IntegrationAway, match="more than"):
        await refreshed(endless)
    assert endless.sent < 1 << 26


async def test_nobody_there() -> None:
    async def none(_: Integration) -> str | None:
        return None

    async with httpx2.AsyncClient(trust_env=False) as client:
        servers = OAuthServers(client, client_secret=none)
        gone = TokenService().integration(url="http://127.0.0.1:1")
        with pytest.raises(IntegrationAway, match="connection to Google failed"):
            await servers.refresh(gone, "r")
        with pytest.raises(IntegrationAway):
            await servers.revoke(gone, "r", kind="refresh_token")
        assert await servers.revoke(TokenService().integration(revoke_url=None), "r", kind="refresh_token") is False
