"""What the tests of snapshots share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from innkeeper.restic import ResticStore
from tests.restic.deposits import a_tree, near


@pytest.fixture
def store(tmp_path: Path) -> ResticStore:
    """A store with two targets on this disk."""
    return near(tmp_path)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tenant's folder."""
    return a_tree(tmp_path / "persistence")


@pytest.fixture
def into(tmp_path: Path) -> Path:
    """An empty folder to restore into."""
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB."""
    import subprocess

    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
