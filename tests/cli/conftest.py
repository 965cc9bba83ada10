from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from innkeeper.cli.main import outcome
from tests.api.bench import Bench, opened
from tests.support.serving import serving


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Its output as JSON."""
        return json.loads(self.out)


Run = Callable[..., Coroutine[Any, Any, Said]]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened(tmp_path / "data") as bench:
        yield bench


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command as the shell would; by default nobody answers where it looks for the API."""
    monkeypatch.setenv("INNKEEPER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("INNKEEPER_API", "127.0.0.1:1")
    monkeypatch.delenv("INNKEEPER_TOKEN", raising=False)

    async def run(*arguments: str) -> Said:
        capsys.readouterr()
        code = await asyncio.to_thread(outcome, list(arguments))
        out, err = capsys.readouterr()
        return Said(code=code, out=out, err=err)

    return run


@pytest.fixture
async def inn(bench: Bench, run: Run, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Run]:
    """The same with a control plane that answers, and its admin token."""
    async with serving(bench.app) as url:
        monkeypatch.setenv("INNKEEPER_API", url.removeprefix("http://"))
        monkeypatch.setenv("INNKEEPER_TOKEN", bench.admin_token)
        yield run
