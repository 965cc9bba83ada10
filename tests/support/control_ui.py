"""OpenClaw's web interface, as a person uses it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Error, Page, expect

PATIENCE_MS = 90_000  # for each step: a first turn takes seconds, and this machine may have much else to do


async def says_hello(page: Page, *, answer: str = "Hello there.") -> None:
    """Nobody is asked to sign in or to be paired any more: write to it, and read the answer."""
    async with telling(page):
        await expect(page.get_by_text("Connected", exact=True)).to_be_visible(timeout=PATIENCE_MS)
        box = page.get_by_role("textbox", name="Chat composer")
        await expect(box).to_be_editable(timeout=PATIENCE_MS)  # its chat is loaded only when it is connected
        await box.fill("hello there")
        await box.press("Enter")
        await expect(page.get_by_text(answer).first).to_be_visible(timeout=PATIENCE_MS)


@asynccontextmanager
async def telling(page: Page) -> AsyncIterator[None]:
    """What fails in the block says what was to be seen instead, and what the page's scripts complained of."""
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield
    except (AssertionError, Error) as error:
        seen = await page.inner_text("body")
        raise AssertionError(f"{error}\n{page.url} shows:\n{seen}\nIts scripts say: {complaints}") from error
