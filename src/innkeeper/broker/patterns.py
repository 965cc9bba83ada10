"""Patterns of models, paths and tools, as configurations write them: `claude-*`."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase


def matches(patterns: Iterable[str], name: str) -> bool:
    """Whether one of the patterns fits the whole name; `*` stands for anything, a slash too."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def plain(patterns: Iterable[str]) -> list[str]:
    """Those that are names as they stand."""
    return [pattern for pattern in patterns if not set(pattern) & set("*?[")]
