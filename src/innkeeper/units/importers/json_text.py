"""JSON as people write configs in it: comments and commas at the end of a list are passed over."""

from __future__ import annotations

import json
import re
from typing import Any

_PARTS = re.compile(
    r'(?P<text>"(?:[^"\\]|\\.)*+(?:"|\Z))'  # to the end where it has none: nothing is looked through twice
    r"|(?P<comment>//[^\n]*|/\*(?:[^*]|\*(?!/))*+(?:\*/|\Z))"
    r"|(?P<comma>,)(?=(?:\s|//[^\n]*|/\*(?:[^*]|\*(?!/))*+(?:\*/|\Z))*+[}\]])",
    re.DOTALL,
)
DEPTH_MAX = 50


def parsed(content: bytes) -> dict[str, Any] | None:
    """The object; None for what isn't one, or is nested too deep."""
    try:
        text = content.decode("utf-8-sig")
        tree = _loaded(text)
        if not isinstance(tree, dict) or _deep(tree, DEPTH_MAX):
            return None
    except (ValueError, RecursionError):
        return None
    return tree


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return json.loads(_PARTS.sub(lambda part: part["text"] or "", text))


def _deep(node: Any, left: int) -> bool:
    below = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return left < 0 or any(_deep(each, left - 1) for each in below)
