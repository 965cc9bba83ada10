"""The id by which a sender names a message, so that one that comes twice is delivered once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

HEADERS = (
    "webhook-id",  # Standard Webhooks: "the unique identifier of the message", the same at every try
    "svix-id",  # the same, as it was called before
    "idempotency-key",  # draft-ietf-httpapi-idempotency-key-header; GitLab sends it
    "x-github-delivery",  # GitHub: one for each event, the same when it is delivered again
    "x-shopify-event-id",  # Shopify: "the same value across more than one webhook indicates a duplicate"
    "ce-id",  # CloudEvents, HTTP binding, binary mode
    "x-event-id",
)
"""Where `auto` looks first."""
MEMBERS = ("update_id", "event_id")
"""Then in a JSON object: Telegram's and Slack's."""
LONGEST = 200
"""Longer ones, and those that can't be printed, are known by their hash."""


def sender_id(rule: str, headers: Mapping[str, str], body: bytes) -> str | None:
    """The message's own id by a rule of core/openings.py; None: it has none. Header names in lower case."""
    kind, _, where = rule.partition(":")
    match kind:
        case "auto":
            found = next((headers[name] for name in HEADERS if headers.get(name)), None) or _usual(_tree(body))
        case "header":
            found = headers.get(where.lower())
        case "json":
            found = _member(_tree(body), where.split("."))
        case _:
            found = None
    if not found:
        return None
    if len(found) <= LONGEST and found.isprintable():
        return found
    return "sha256:" + hashlib.sha256(found.encode(errors="surrogatepass")).hexdigest()


def _usual(tree: Any) -> str | None:
    if not isinstance(tree, dict):
        return None
    # A bare `id` is as often the thing's that the message is about: only where the document calls itself an event.
    is_event = "specversion" in tree or tree.get("object") == "event"  # CloudEvents; Stripe
    names = (*MEMBERS, "id") if is_event else MEMBERS
    return next((found for name in names if (found := _member(tree, [name]))), None)


def _member(tree: Any, names: list[str]) -> str | None:
    for name in names:
        tree = tree.get(name) if isinstance(tree, dict) else None
    if isinstance(tree, str):
        return tree
    return str(tree) if isinstance(tree, int) and not isinstance(tree, bool) else None


def _tree(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
