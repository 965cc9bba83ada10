"""Somebody signs in with a browser, at a real identity provider, and comes in to a tenant; then what let them in is
revoked."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page

from tests.e2e.conftest import have_image
from tests.support.chromium import chromium
from tests.support.control_ui import says_hello
from tests.support.installation import Installation
from tests.support.oidc_provider import CLIENT_ID, CLIENT_SECRET, USERS, oidc_provider

pytestmark = [
    pytest.mark.docker,
    pytest.mark.openclaw,
    pytest.mark.browser,
    pytest.mark.oidc,
    pytest.mark.timeout(400),
]
ANN = "alice@example.com"
COUNT_SOCKETS = """
  window.opened = [];
  window.WebSocket = class extends WebSocket {
    constructor(...its) { super(...its); window.opened.push(this); }
  };
"""
SOME_OPEN = "opened.some(socket => socket.readyState === WebSocket.OPEN)"
"""In the page, since Playwright never says of a socket that went with a page's earlier document that it is closed."""


@pytest.fixture
async def inn() -> AsyncIterator[Installation]:
    """An Innkeeper that has an identity provider."""
    data = Path(tempfile.mkdtemp(prefix="ik-"))
    installation = Installation(data)
    back = f"http://console.localhost:{installation.edge_port}/sign-in/callback"
    async with oidc_provider(redirect_uris=[back]) as provider:
        installation.env |= {
            "INNKEEPER_OIDC_ISSUER": provider.issuer,
            "INNKEEPER_OIDC_CLIENT_ID": CLIENT_ID,
            "INNKEEPER_OIDC_CLIENT_SECRET": CLIENT_SECRET,
            "INNKEEPER_OIDC_NAME": "Example",
        }
        try:
            await installation.start()
            yield installation
        finally:
            await installation.clear()
            shutil.rmtree(data, ignore_errors=True)


async def test_a_member_signs_in_and_uses_openclaw_until_they_are_no_member(inn: Installation) -> None:
    await have_image(inn, "openclaw")
    await inn.create("oc", agent="openclaw")
    async with inn.api() as api:
        assert (await api.post("/v1/users", json={"mail": ANN})).status_code == 201
        assert (await api.put(f"/v1/tenants/oc/members/{ANN}", json={"role": "member"})).status_code == 200

    async with chromium() as browser:
        page = await (await browser.new_context()).new_page()
        await page.add_init_script(COUNT_SOCKETS)
        await page.goto(f"http://oc.localhost:{inn.edge_port}/")
        assert page.url.startswith(f"http://console.localhost:{inn.edge_port}/sign-in")
        await signed_in(page)
        await page.wait_for_url(f"http://oc.localhost:{inn.edge_port}/**")
        await says_hello(page, answer="demo model")

        cookies = {cookie["name"]: cookie for cookie in await page.context.cookies()}
        assert cookies["__Host-innkeeper-console"]["domain"] == "console.localhost"
        assert cookies["__Host-innkeeper-door"]["domain"] == "oc.localhost"
        assert "__Host-innkeeper" not in await page.evaluate("document.cookie")

        assert await page.evaluate(SOME_OPEN)
        async with inn.api() as api:
            assert (await api.delete(f"/v1/tenants/oc/members/{ANN}")).status_code == 204
        await page.wait_for_function(f"!({SOME_OPEN})", timeout=30_000)
        answer = await page.goto(f"http://oc.localhost:{inn.edge_port}/")
        assert answer is not None
        assert answer.status == 403
        assert "member" in await page.inner_text("body")

    async with inn.api() as api:
        trail = (await api.get("/v1/audit", params={"limit": 500})).json()["items"]
    actions = [line["action"] for line in trail]
    assert {"user.create", "member.put", "session.begin", "member.drop"} <= set(actions)
    begun = next(line for line in trail if line["action"] == "session.begin")
    assert begun["detail"]["method"] == "oidc"


async def signed_in(page: Page) -> None:
    """Sign in at the provider."""
    await page.get_by_role("link", name="Sign in with Example").click()
    await page.locator("input[name=login]").fill("alice")
    await page.locator("input[name=password]").fill(USERS["alice"])
    await page.get_by_role("button", name="Sign in").click()
