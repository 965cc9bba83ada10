"""The order of the tests' files: those that take longest come first."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest


@pytest.hookimpl(trylast=True)  # when those that don't run are out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """By the time that a file's tests may take, lest one worker has a long file left when all others are through."""
    longest: defaultdict[Path, float] = defaultdict(float)
    for item in items:
        longest[item.path] = max(longest[item.path], _allowed_s(item))
    items.sort(key=lambda item: -longest[item.path])  # stable: a file's tests stay together


def _allowed_s(item: pytest.Item) -> float:
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker and marker.args else 0.0
