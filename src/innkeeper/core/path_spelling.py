"""Paths as JSON can have them: a name may hold any byte but NUL and `/`, and JSON's strings are UTF-8 alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from urllib.parse import quote_from_bytes, unquote_to_bytes


def decoded(path: str) -> str:
    """A path of which any byte may be written as %XX."""
    return os.fsdecode(unquote_to_bytes(path))


def spelt(paths: Sequence[str]) -> Mapping[str, list[str]]:
    """`paths` as they are, and as `paths_encoded` those that aren't UTF-8, if there are any."""
    encoded = [quote_from_bytes(os.fsencode(path)) for path in paths if _is_raw(path)]
    plain = [path for path in paths if not _is_raw(path)]
    return {"paths": plain, **({"paths_encoded": encoded} if encoded else {})}


def _is_raw(path: str) -> bool:
    return any("\udc80" <= each <= "\udcff" for each in path)
