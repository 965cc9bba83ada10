"""OpenClaw's web interface, as a person uses it."""

from __future__ import annotations

from playwright.async_api import Page, expect

PATIENCE_MS = 90_000  # a first turn takes seconds, and this machine may have much else to do


async def says_hello(page: Page, *, answer: str = "Hello there.") -> None:
    """Nobody is asked to sign in or to be paired any more: write to it, and read the answer."""
    await expect(page.get_by_text("Connected", exact=True)).to_be_visible(timeout=PATIENCE_MS)
    box = page.get_by_role("textbox", name="Chat composer")
    await box.fill("hello there")
    await box.press("Enter")
    await expect(page.get_by_text(answer).first).to_be_visible(timeout=PATIENCE_MS)
