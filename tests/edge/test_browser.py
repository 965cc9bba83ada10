"""What a person sees: a real browser opens a sleeping tenant through a real Caddy, and ends up with its agent.

All of the control plane is real but for the runtime, which only remembers: the agent itself listens at the tenant's
own address already, and nobody lets anybody through to it before the tenant is ready.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from playwright.async_api import Browser, Page, expect
from starlette.types import Receive, Scope, Send

from innkeeper.core.access import SYSTEM, digest
from innkeeper.core.door import Door
from innkeeper.core.events import TenantChanged
from innkeeper.core.ports import Entrance
from innkeeper.core.specs import SpecPatch
from innkeeper.core.tenant import Access, Spec
from innkeeper.edge.caddy_config import EdgePlan
from innkeeper.edge.gate import Gate
from innkeeper.edge.gate_server import GateServer
from innkeeper.runtimes.memory_faults import Call
from tests.support.chromium import chromium
from tests.support.house import House, PlainAgent
from tests.support.serving import serving

pytestmark = pytest.mark.browser

expect.set_options(timeout=30_000)  # this machine may have much else to do

FIRST_ADDRESS = "127.64.0.16"
"""Where the memory runtime says that the tenant in slot 0 is."""


@dataclass
class HelloAgent(PlainAgent):
    """Greets, and remembers who came."""

    port: int = 0
    visits: list[str] = field(default_factory=list)

    def entrance(self, spec: Spec, gateway_token: str) -> Entrance:
        return Entrance(port=self.port, headers={})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        self.visits.append(f"{scope['path']}?{scope['query_string'].decode()}")
        headers = [(b"content-type", b"text/html")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"<title>agent</title><h1>Hello</h1>"})


@dataclass
class Street:
    """Alice's house with its door, and where it is."""

    house: House
    agent: HelloAgent
    url: str
    positions: dict[str, tuple[int, int]] = field(default_factory=dict)

    def answer(self) -> None:
        """From now on alice says that she is ready."""
        self.house.prober.answer = (200, b"{}")


@pytest.fixture
async def street(common_plan: EdgePlan) -> AsyncIterator[Street]:
    """Alice is stopped, lets everybody in, and isn't ready before she is told to."""
    agent = HelloAgent()
    async with serving(agent, FIRST_ADDRESS) as agent_url:
        agent.port = int(agent_url.rpartition(":")[2])
        house = House(agent=agent)
        await house.create(patch=SpecPatch(access=Access.OPEN))
        await house.settle()
        await house.control.sleep("alice", "stop", actor=SYSTEM)
        await house.settle()
        house.prober.answer = None
        street = Street(house, agent, f"http://alice.localhost:{common_plan.port}/deep?x=1")
        gate = GateServer(
            Gate(door(house, street.positions.get), inbox=common_plan.inbox_socket), path=common_plan.run / "gate.sock"
        )
        working = asyncio.create_task(work(house))
        await gate.open()
        yield street
        await gate.close()
        working.cancel()


def door(house: House, position: Callable[[str], tuple[int, int] | None]) -> Door:
    """The door as wiring makes it."""
    return Door(
        directory=house.directory,
        identities=house.identities,
        tickets=house.people.tickets,
        activator=house.activator,
        seating=house.seating,
        runtime=house.runtime,
        clock=house.clock,
        admin_digest=digest("ik_a_secret"),
        deadline_s=30,
        position=position,
        usual_s=lambda _: 11.2,
    )


async def work(house: House) -> None:
    """Do what there is to do for alice, whenever somebody changes what should be."""
    with house.bus.subscribe() as events:
        while True:
            if isinstance(await events.get(), TenantChanged):
                await house.reconciler.work("alice", asyncio.sleep)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium."""
    async with chromium() as browser:
        yield browser


async def test_who_opens_a_sleeper_sees_it_wake_and_ends_up_with_its_agent(street: Street, browser: Browser) -> None:
    page = await browser.new_page()
    complaints = complaints_of(page)
    starts = street.house.runtime.calls[Call.START]

    opened = await page.goto(street.url)
    assert opened is not None
    assert opened.status == 503
    await expect(page.locator("h1")).to_have_text("Waking alice.localhost")
    await expect(page.locator(".time")).to_contain_text("usually about 11 s")
    await expect(page.locator(".step")).to_have_text("Started, waiting for it to answer")
    await expect(page).to_have_title("Started, waiting for it to answer · alice.localhost")
    assert street.agent.visits == []
    assert street.house.activator.waiting("alice") == 0, "nobody is held for it"

    street.answer()

    await expect(page.locator("h1")).to_have_text("Hello")
    assert page.url == street.url
    assert street.agent.visits[0] == "/deep?x=1"
    assert not [visit for visit in street.agent.visits if "innkeeper" in visit]
    assert await page.evaluate("history.length") == 2, "about:blank and this one: back leads where the person came from"
    assert street.house.runtime.calls[Call.START] == starts + 1
    assert complaints == []


async def test_its_place_and_then_its_failure_are_shown_without_an_endless_wait(
    street: Street, browser: Browser
) -> None:
    street.positions["alice"] = (2, 5)
    page = await browser.new_page(viewport={"width": 320, "height": 560}, reduced_motion="reduce")
    complaints = complaints_of(page)
    await page.goto(street.url)
    await expect(page.locator(".step")).to_have_text("Waiting for its turn: 2 of 5")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await page.evaluate("getComputedStyle(document.querySelector('.now'), '::after').animationName") == "none"

    street.positions.clear()
    await expect(page.locator(".step")).to_have_text("Started, waiting for it to answer")
    street.house.runtime.crash("alice", exit_code=78)

    await expect(page.locator(".step")).to_contain_text("can't be started")
    await expect(page.locator("h1")).to_have_text("alice.localhost", use_inner_text=True)
    await expect(page.locator(".way")).to_be_hidden()
    await expect(page.get_by_role("link", name="Try again")).to_be_visible()
    assert complaints == []


async def test_it_opens_without_a_script_too(street: Street, browser: Browser) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(street.url)
    await expect(page.locator("main noscript p")).to_contain_text("looks again every 5 seconds")

    street.answer()

    await expect(page.locator("h1")).to_have_text("Hello")
    assert page.url == street.url
    await context.close()


def complaints_of(page: Page) -> list[str]:
    """What the browser complains of from now on, but for the 503 itself."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("console", lambda line: found.append(line.text) if "Content Security Policy" in line.text else None)
    return found
