"""/v1/compose: the fleet as one compose file."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from innkeeper.api.admission import needs
from innkeeper.api.deps import TheInn
from innkeeper.core.access import Action
from innkeeper.core.fleet import PRODUCTION, DataIn

MEDIA_TYPE = "application/yaml"
_FILE: dict[str, Any] = {
    "response_class": Response,
    "responses": {200: {"description": "The file.", "content": {MEDIA_TYPE: {}}}},
}

router = APIRouter(prefix="/compose", tags=["units"])


@router.get("", summary="Generate a compose file", **_FILE)
@needs(Action.CHANGE)
async def generate(
    inn: TheInn,
    tenant: Annotated[list[str] | None, Query(max_length=10_000, description="These alone; left out: all.")] = None,
    environment: Annotated[str, Query(max_length=63, description="What their labels say.")] = PRODUCTION,
    data: Annotated[
        DataIn, Query(description="Named volumes that are the tenants' own folders, or Docker's own volumes.")
    ] = DataIn.UNIT,
) -> Response:
    """All tenants in one file that runs them without Innkeeper; no secret stands in it."""
    text = await inn.fleet.compose(tenant or (), environment=environment, data=data)
    return Response(text, media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})
