"""Names as parts of the API's paths."""

from __future__ import annotations

from urllib.parse import quote


def path_part(name: str) -> str:
    """A name as one segment of a path, whatever is in it: `..` must not climb."""
    return quote(name, safe="").replace(".", "%2E")
