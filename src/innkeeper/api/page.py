"""/docs: every operation of the API on one page of our own, which loads nothing from anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
color-scheme: light dark }
summary { cursor: pointer; padding: .3rem 0 } code { font-size: .95em } .method { display: inline-block; width: 4.5rem;
font-weight: 600 } table { border-collapse: collapse } td, th { text-align: left; padding: .1rem 1rem .1rem 0;
vertical-align: top } p { margin: .4rem 0 } details div { margin: 0 0 1rem 4.8rem }
"""


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """The page."""
    headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return HTMLResponse(render(request.app.openapi()), headers=headers)


def render(openapi: dict[str, Any]) -> str:
    """The OpenAPI document for people."""
    title = escape(f"{openapi['info']['title']} {openapi['info']['version']}")
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{_STYLE}</style>"
        f"<h1>{title}</h1><p>{_prose(openapi['info'].get('description', ''))}</p>"
        '<p>The whole of it for programs: <a href="/openapi.json">/openapi.json</a>.</p>' + "".join(_sections(openapi))
    )


def _sections(openapi: dict[str, Any]) -> Iterator[str]:
    by_tag: dict[str, list[str]] = {}
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append(_operation(path, method, operation))
    for tag, operations in by_tag.items():
        yield f"<h2>{escape(tag.capitalize())}</h2>" + "".join(operations)


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    rows = "".join(_parameter(parameter) for parameter in operation.get("parameters", ()))
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    name = body.get("$ref", "").rpartition("/")[2]
    return (
        f"<details><summary><span class=method>{method.upper()}</span> <code>{escape(path)}</code> "
        f"{escape(operation['summary'])}</summary><div><p>{_prose(operation.get('description', ''))}</p>"
        + (f"<p>Body: <code>{escape(name)}</code></p>" if name else "")
        + (f"<table>{rows}</table>" if rows else "")
        + "</div></details>"
    )


def _parameter(parameter: dict[str, Any]) -> str:
    return (
        f"<tr><td><code>{escape(parameter['name'])}</code><td>{escape(parameter['in'])}"
        f"<td>{_prose(parameter.get('description', ''))}"
    )


def _prose(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
