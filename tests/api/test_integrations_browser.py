"""An owner connects a real service with a real browser: from the link that the command line prints to the end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from playwright.async_api import expect
from starlette.types import ASGIApp, Receive, Scope, Send

from innkeeper.api.app import create_app
from innkeeper.core.access import TenantRole
from innkeeper.core.hosting import Hosting
from innkeeper.core.integration_reading import integration_of
from tests.api.bench import opened
from tests.api.people import PASSWORD, person
from tests.support.chromium import chromium
from tests.support.oidc_provider import CLIENT_ID, CLIENT_SECRET, USERS, oidc_provider
from tests.support.serving import serving

pytestmark = [pytest.mark.oidc, pytest.mark.browser]


async def test_a_person_connects_their_account_and_a_replay_is_refused(tmp_path: Path) -> None:
    app: ASGIApp | None = None

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        assert app is not None
        await app(scope, receive, send)

    async with opened(tmp_path) as bench, serving(served) as url, httpx2.AsyncClient(trust_env=False) as client:
        await bench.tenant("alice")
        await person(bench, "ann", tenants={"alice": TenantRole.OWNER})
        hosting = Hosting(domain="localhost", port=urlsplit(url).port or 0)
        back = f"{hosting.console_origin}/integrations/callback/acme"
        async with oidc_provider(redirect_uris=[back], refreshes=True) as provider:
            said = {
                "title": "Acme & Sons",
                "authorize_url": f"{provider.issuer}/auth",
                "token_url": f"{provider.issuer}/token",
                "scopes": ["openid", "email"],
                "client_id": CLIENT_ID,
                "client_secret": "${secret:acme}",
            }
            bench.house.services = {"acme": integration_of("acme", said)}
            integrations = bench.house.make_integrations(client, CLIENT_SECRET, hosting=hosting)
            app = create_app(replace(bench.inn, integrations=integrations, hosting=hosting))
            admin = {"Authorization": f"Bearer {bench.admin_token}"}
            told = await client.post(f"{url}/v1/tenants/alice/integrations/acme/connect", headers=admin)
            async with chromium() as browser:
                page = await (await browser.new_context()).new_page()
                await page.goto(told.json()["url"])
                await page.get_by_label("Mail").fill("ann@example.com")
                await page.get_by_label("Password").fill(PASSWORD)
                await page.get_by_role("button", name="Sign in").click()
                await expect(page.get_by_role("heading")).to_have_text("Connect Acme & Sons", timeout=30_000)
                await page.get_by_role("button", name="Go on to Acme & Sons").click()
                await page.get_by_label("User").fill("bob")
                await page.get_by_label("Password").fill(USERS["bob"])
                await page.get_by_role("button", name="Sign in").click()
                await expect(page.get_by_role("heading")).to_have_text("Connected", timeout=30_000)
                assert await page.get_by_text("alice is connected to Acme & Sons.").count() == 1
                await page.reload()
                await expect(page.get_by_role("heading")).to_have_text("Connect refused", timeout=30_000)
        assert await integrations.token("acme", await bench.house.tenant("alice"))
        ((_, _, connection),) = await integrations.all("alice")
        assert connection is not None
        assert connection.connected_as == "ann@example.com"
