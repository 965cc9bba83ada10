"""The list of models that a tenant may ask for, in both protocols' shapes."""

from __future__ import annotations

import json
from collections.abc import Sequence

from innkeeper.broker.calls import Dialect


def models_page(models: Sequence[tuple[str, str]], dialect: Dialect) -> bytes:
    """The body for GET /v1/models; `models` are names with their providers."""
    names = [name for name, _ in models]
    match dialect:
        case Dialect.OPENAI:
            entries = [{"id": name, "object": "model", "created": 0, "owned_by": owner} for name, owner in models]
            return json.dumps({"object": "list", "data": entries}).encode()
        case Dialect.ANTHROPIC:
            listed = [
                {"type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z"}
                for name in names
            ]
            ends = {"first_id": names[0], "last_id": names[-1]} if names else {"first_id": None, "last_id": None}
            return json.dumps({"data": listed, "has_more": False, **ends}).encode()
