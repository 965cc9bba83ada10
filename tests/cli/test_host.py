"""`innkeeper host swap`: looks by default, and changes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def swap(*arguments: str, data: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "innkeeper", "host", "swap", *arguments],
        env={"PATH": "/usr/bin:/bin", "INNKEEPER_DATA": str(data)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_tells_what_there_is_and_what_would_be_good(tmp_path: Path) -> None:
    told = swap("--json", data=tmp_path / "not-made")
    assert told.returncode == 0, told.stderr
    document = json.loads(told.stdout)
    assert document["memory_mb"] > 0
    assert len(document["advice"]["why"]) == 2
    assert document["swap_mb"] >= document["free_mb"]
    assert {"areas", "zram"} <= document.keys()
    assert not (tmp_path / "not-made").exists()


def test_it_sets_nothing_up_without_being_sure(tmp_path: Path) -> None:
    for arguments, code in ((["--set-up"], 2), (["--take-down"], 2), (["--set-up", "--take-down"], 2)):
        refused = swap(*arguments, data=tmp_path)
        assert refused.returncode == code, refused.stderr
        assert "Traceback" not in refused.stderr
    assert list(tmp_path.iterdir()) == []
