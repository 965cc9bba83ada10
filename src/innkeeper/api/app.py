"""The app: every router, one choke point, one form of error."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute

from innkeeper.api import (
    agents,
    audit,
    backups,
    capacity,
    chat,
    compose,
    console,
    console_integrations,
    data_exports,
    doctor,
    drills,
    edge_ask,
    egress,
    events,
    exports,
    health,
    hostnames,
    house_secrets,
    hydrate,
    imports,
    inbox,
    integrations,
    keyring,
    keys,
    logs,
    members,
    oneself,
    operations,
    packs,
    page,
    problems,
    receipts,
    releases,
    restored_files,
    restores,
    secrets,
    seeds,
    startclaw,
    stats,
    status,
    tenants,
    tokens,
    tools,
    usage,
    users,
)
from innkeeper.api.admission import admitted, all_declared
from innkeeper.api.deps import Inn
from innkeeper.api.requests import V1, Requests
from innkeeper.api.schema import ProblemDocument
from innkeeper.core.access import Action
from innkeeper.problems import MEDIA_TYPE

ABOUT = (
    "An AI agent for every customer. Everything under /v1 wants `Authorization: Bearer TOKEN`: the admin token, an "
    "API token, a JWT of the issuer that the settings name, or a tenant's own key; or a session of the console's. What "
    "each may is in the reference of access. Errors are problem documents "
    "with a stable `code`. Long work answers 202 with an operation; `?wait=SECONDS` waits for its end. Whatever "
    "changes a tenant takes an `Idempotency-Key`. Lists come in pages (`limit`, `cursor`)."
)
_GUARDED = (
    tenants,
    stats,
    logs,
    events,
    chat,
    keys,
    secrets,
    exports,
    data_exports,
    integrations,
    members,
    users,
    tokens,
    house_secrets,
    keyring,
    oneself,
    hostnames,
    tools,
    inbox,
    egress,
    drills,
    imports,
    operations,
    agents,
    releases,
    packs,
    hydrate,
    status,
    doctor,
    capacity,
    compose,
    usage,
    restored_files,
    restores,
    backups,
    audit,
    receipts,
)


PROBLEM: dict[str, Any] = {
    "description": "An error, as a problem document.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
}


class Api(FastAPI):
    """FastAPI with our own form of error in its description."""

    def openapi(self) -> dict[str, Any]:
        """The description of everything."""
        described = super().openapi()
        schema = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
        described["components"]["schemas"] |= {**schema.pop("$defs"), ProblemDocument.__name__: schema}
        return described


def create_app(inn: Inn) -> FastAPI:
    """The API of this house."""
    app = _bare()
    app.router = _complete().router
    app.state.inn = inn
    larger = {("POST", f"{V1}/packs"): inn.pack_limit}
    app.add_middleware(Requests, body_limit=inn.body_limit, larger=larger)
    return app


def openapi() -> dict[str, Any]:
    """The API's description, which is the same for every house."""
    return _complete().openapi()


def needed() -> Mapping[str, Action]:
    """What each route that isn't open asks for, by method and path."""
    routers = [*((V1, module.router) for module in _GUARDED), ("", seeds.router), ("", startclaw.router)]
    return {
        f"{method} {prefix}{route.path}": route.endpoint.needs[0]  # type: ignore[attr-defined]
        for prefix, router in routers
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in sorted(route.methods or ())
    }


def _bare() -> Api:
    app = Api(
        title="Innkeeper",
        version=version("innkeeper"),
        description=ABOUT,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={"default": PROBLEM},
        separate_input_output_schemas=False,
    )
    problems.install(app)
    return app


@cache
def _complete() -> Api:
    """An app of no house, with every route. They take a third of a second to work out, and are alike in each."""
    app = _bare()
    v1 = APIRouter(prefix=V1, dependencies=[Depends(admitted)])
    for module in _GUARDED:
        v1.include_router(all_declared(module.router))
    app.include_router(v1)
    app.include_router(all_declared(seeds.router))
    app.include_router(all_declared(startclaw.router))
    app.include_router(health.router)
    app.include_router(console.router)
    app.include_router(console_integrations.router)
    app.include_router(page.router)
    app.include_router(edge_ask.router)
    return app
