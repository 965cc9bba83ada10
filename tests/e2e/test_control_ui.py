"""OpenClaw's own page, through the edge: it opens signed in for whom the gate knows, and for nobody else."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import have_image
from tests.support.chromium import chromium
from tests.support.control_ui import says_hello
from tests.support.installation import Installation

pytestmark = [pytest.mark.docker, pytest.mark.openclaw, pytest.mark.browser, pytest.mark.timeout(400)]


async def test_who_passes_the_gate_is_signed_in_and_a_stranger_on_a_public_path_is_not(inn: Installation) -> None:
    await have_image(inn, "openclaw")
    await inn.create("oc", agent="openclaw", public_paths=["/v1/*"])
    key = await inn.key("oc")

    async with chromium() as browser:
        context = await browser.new_context(extra_http_headers={"Authorization": f"Bearer {key}"})
        page = await context.new_page()
        await page.goto(f"http://oc.localhost:{inn.edge_port}/")
        await says_hello(page, answer="demo model")

    async with inn.edge("oc", key) as edge:
        assert (await edge.get("/v1/models")).status_code == 200
        foreign = await edge.get("/v1/models", headers={"Origin": f"http://another.localhost:{inn.edge_port}"})
        assert foreign.status_code == 401, "another tenant's page makes a member's browser ask"
    forged = {"X-Forwarded-User": "innkeeper", "X-Forwarded-Proto": "http", "X-OpenClaw-Scopes": "operator.admin"}
    async with inn.edge("oc") as edge:
        for headers in ({}, forged, {"Authorization": "Bearer of-their-own"}):
            assert (await edge.get("/v1/models", headers=headers)).status_code == 401


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
