"""docs/reference/api.md: every path of the API and every document, from its OpenAPI description."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from innkeeper.api.app import openapi
from innkeeper.cli.reference.markdown import paragraph, table

_BODY = "application/json"


def render() -> str:
    """The page."""
    described = openapi()
    return "\n".join(
        [
            f"# API\n\n{described['info']['description']}\n\nAs OpenAPI: `/openapi.json`; to browse: `/docs`.\n",
            *_operations(described),
            "# Documents\n",
            *(_document(name, schema) for name, schema in sorted(described["components"]["schemas"].items())),
        ]
    )


def _operations(described: dict[str, Any]) -> Iterator[str]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield f"## `{method.upper()} {path}`\n\n{paragraph(operation['description'])}\n"
            if parameters := operation.get("parameters"):
                yield table(
                    ("parameter", "in", "type", "meaning"),
                    ((f"`{p['name']}`", p["in"], _type(p["schema"]), p.get("description", "")) for p in parameters),
                )
            if body := operation.get("requestBody"):
                yield f"Body: {_kinds(body['content'])}\n"
            yield _answers(operation["responses"])


def _answers(responses: dict[str, Any]) -> str:
    told = [
        f"{status}: {_kinds({kind: content})}"
        for status, response in responses.items()
        if status != "default"
        for kind, content in response.get("content", {"nothing": {}}).items()
    ]
    return f"Answers {', '.join(told)}\n"


def _kinds(content: dict[str, Any]) -> str:
    """What it is by its schema, or by its media type."""
    return " or ".join(_type(of["schema"]) if kind == _BODY else f"`{kind}`" for kind, of in content.items())


def _document(name: str, schema: dict[str, Any]) -> str:
    text = f"## {name}\n\n{paragraph(schema.get('description'))}\n"
    if "enum" in schema:
        return text + "\nOne of " + ", ".join(f"`{value}`" for value in schema["enum"]) + ".\n"
    required = schema.get("required", ())
    rows = (
        (f"`{field}`" + ("" if field in required else " (optional)"), _type(of), of.get("description", ""))
        for field, of in schema.get("properties", {}).items()
    )
    return text + "\n" + table(("field", "type", "meaning"), rows)


def _type(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    return str(schema.get("format") or schema.get("type") or "anything")
