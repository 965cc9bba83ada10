"""Folders of units below a temporary one, as the super-user and as anybody else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from innkeeper.core.ports import ConfigFile
from innkeeper.units.layout import FolderUnits

ROOT = os.geteuid() == 0
OWNER = (1000, 1000) if ROOT else (os.geteuid(), os.getegid())
needs_root = pytest.mark.skipif(not ROOT, reason="takes root")

PATH = ".agent/config.json"
FILES = [ConfigFile(path=PATH, content=b'{"new": true}'), ConfigFile(path="notes.txt", content=b"noted")]


def make_units(tmp_path: Path) -> FolderUnits:
    """Those below `tenants/` of the folder."""
    return FolderUnits(tmp_path / "tenants", owner_uid=OWNER[0], owner_gid=OWNER[1])


async def write(units: FolderUnits, files: list[ConfigFile] = FILES) -> None:
    """Make tenant `a` whole."""
    await units.write("a", files, compose="services: {}\n", env="PORT=1\n")
