"""OpenClaw behind an open door. That its page opens signed in for whom the gate knows is in test_whole_path.py."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import have_image
from tests.support.chromium import chromium
from tests.support.installation import Installation

pytestmark = [pytest.mark.docker, pytest.mark.openclaw, pytest.mark.browser, pytest.mark.timeout(400)]


@pytest.mark.soak
async def test_with_an_open_door_its_own_login_decides_until_it_is_closed(inn: Installation) -> None:
    await have_image(inn, "openclaw")
    await inn.create("oc", agent="openclaw", access="open")
    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto(f"http://oc.localhost:{inn.edge_port}/")
        await page.get_by_role("textbox", name="Gateway secret").wait_for(timeout=30_000)
    told = await inn.cli("tenant", "chat", "oc", "hello there")
    assert "demo model" in told.stdout, told.stderr

    async with inn.api() as api:
        answer = await api.patch("/v1/tenants/oc", params={"wait": 170}, json={"access": "key"})
        assert answer.json()["status"] == "done", answer.text
    told = await inn.cli("tenant", "chat", "oc", "hello there")
    assert "demo model" in told.stdout, told.stderr
    async with inn.edge("oc", await inn.key("oc")) as edge:
        assert (await edge.get("/v1/models")).status_code == 200
