"""What is sent to be taken in never takes the room that the others need."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from innkeeper.core.errors import DiskFull
from innkeeper.units import arrivals
from tests.support.arriving import arrivals_of


async def pieces() -> AsyncIterator[bytes]:
    for _ in range(3):
        yield b"x" * 1000


async def test_a_disk_that_fills_ends_it_and_nothing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = arrivals_of(tmp_path)
    sent = await folder.receive(pieces())
    assert (tmp_path / "imports" / sent / "source").stat().st_size == 3000
    monkeypatch.setattr(arrivals, "FREE_SHARE", 1.0)
    with pytest.raises(DiskFull, match="or more, and"):
        await folder.receive(pieces())
    assert [each.name for each in (tmp_path / "imports").iterdir()] == [sent]
