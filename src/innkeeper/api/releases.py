"""/v1/releases: the versions of agents that are there, and how another gets made."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from innkeeper.api.admission import Guest, TheGuest, needs
from innkeeper.api.deps import Inn, TheInn
from innkeeper.api.schema import Body, Document, ItemsOf
from innkeeper.api.sse import STREAM, Events, EventStream, Sse
from innkeeper.core.access import Action
from innkeeper.core.redaction import redact
from innkeeper.core.release import Release

LINES = 256
"""Lines of progress that a slow client may be behind; the oldest go first."""

router = APIRouter(prefix="/releases", tags=["releases"])


class ReleaseDocument(Document):
    """A version of an agent, with the very image that it is."""

    agent: str
    version: str
    image: str
    """Image ID or repository@digest."""
    source: str
    """Where it came from: `registry` or `packages`."""
    size_mb: int
    created_at: datetime


class ReleasePage(ItemsOf[ReleaseDocument]):
    """All releases."""


class BuildRelease(Body):
    """An image to be made."""

    agent: str = Field(max_length=80, examples=["openclaw"])
    version: str | None = Field(default=None, max_length=80, pattern=r"^[0-9A-Za-z][0-9A-Za-z.+_-]*$")
    """Left out: the one that this version of Innkeeper was tested with."""
    source: Literal["auto", "registry", "packages"] = "auto"
    """`auto` asks the official registry first and builds from packages where none answers."""


@router.get("", summary="List releases")
@needs(Action.HOUSE)
async def index(
    inn: TheInn, agent: Annotated[str | None, Query(description="Only those of this agent.")] = None
) -> ReleasePage:
    """All releases by agent, the newest first, on one page."""
    if agent is not None:
        inn.control.agent(agent)
    return ReleasePage(items=[_document(release) for release in await inn.releases.all(agent)])


@router.post("/build", summary="Build a release", **STREAM)
@needs(Action.BUILD)
async def build(body: BuildRelease, inn: TheInn, guest: TheGuest) -> EventStream:
    """Make an agent's image and record it: events `progress` with `says`, then one `release`, or `error`.

    What is there already is found again at once. When the client goes, the build stops; the next goes on from there.
    """
    inn.control.agent(body.agent)
    return EventStream(_build(body, inn, guest), guest=guest, stopping=inn.stopping)


async def _build(body: BuildRelease, inn: Inn, guest: Guest) -> Events:
    lines: asyncio.Queue[str | None] = asyncio.Queue(LINES)

    def tell(line: str | None) -> None:
        if lines.full():
            lines.get_nowait()
        lines.put_nowait(line)

    work = inn.build_image(body.agent, version=body.version, source=body.source, progress=tell)
    building = asyncio.ensure_future(work)
    building.add_done_callback(lambda _: tell(None))
    try:
        while (line := await lines.get()) is not None:
            yield Sse(event="progress", data={"says": redact(line)})
        built = await building
    finally:
        building.cancel()
        await asyncio.gather(building, return_exceptions=True)
    release = await inn.releases.record(
        agent=built.agent,
        version=built.version,
        image=built.image,
        source=built.source,
        size_mb=built.size_mb,
        actor=guest.actor,
    )
    yield Sse(event="release", data=_document(release).model_dump(mode="json"))


def _document(release: Release) -> ReleaseDocument:
    return ReleaseDocument(**vars(release))
