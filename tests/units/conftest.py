"""What the tests of units share."""

from __future__ import annotations

from pathlib import Path

import pytest

from innkeeper.units.layout import FolderUnits
from tests.units.folders import make_units


@pytest.fixture
def units(tmp_path: Path) -> FolderUnits:
    """Folders of units below a temporary one."""
    return make_units(tmp_path)
