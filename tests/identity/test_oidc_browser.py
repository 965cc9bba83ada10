"""Signing in at a real provider with a real browser: what it brings back says who it is."""

from __future__ import annotations

import shutil
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.async_api import async_playwright, expect
from starlette.types import Receive, Scope, Send

from innkeeper.identity.oidc import OpenIDConnect
from innkeeper.identity.provider import ProviderConfig
from tests.support.oidc_provider import CLIENT_ID, CLIENT_SECRET, USERS, oidc_provider
from tests.support.serving import serving

pytestmark = [pytest.mark.oidc, pytest.mark.browser]


async def landing(scope: Scope, receive: Receive, send: Send) -> None:
    """Where the browser comes back to."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    await send({"type": "http.response.body", "body": b"<title>back</title>"})


async def test_a_person_signs_in_and_the_next_time_isnt_asked() -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Debian's Chromium isn't here")
    async with serving(landing) as home, oidc_provider(redirect_uris=[f"{home}/back"]) as provider:
        config = ProviderConfig(name="Test", issuer=provider.issuer, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
        at = OpenIDConnect(config)
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=["--disable-gpu"])
            page = await browser.new_page()
            url, pending = await at.begin(f"{home}/back")
            await page.goto(url)
            await page.get_by_label("User").fill("alice")
            await page.get_by_label("Password").fill("wrong")
            await page.get_by_role("button", name="Sign in").click()
            await expect(page.get_by_role("alert")).to_have_text("That is not right.", timeout=30_000)
            await page.get_by_label("User").fill("alice")
            await page.get_by_label("Password").fill(USERS["alice"])
            await page.get_by_role("button", name="Sign in").click()
            await expect(page).to_have_title("back", timeout=30_000)
            alice = await at.finish(pending, f"{home}/back", dict(parse_qsl(urlsplit(page.url).query)))
            assert (alice.subject, alice.mail) == ("alice", "alice@example.com")
            url, pending = await at.begin(f"{home}/back")
            await page.goto(url)
            await expect(page).to_have_title("back", timeout=30_000)
            again = await at.finish(pending, f"{home}/back", dict(parse_qsl(urlsplit(page.url).query)))
            assert again == alice
            await browser.close()
        await at.close()
