"""The kernel switch without which nothing isolates."""

from __future__ import annotations

from pathlib import Path

import pytest

from innkeeper.core.errors import IsolationBroken
from innkeeper.runtimes.bridge_netfilter import SWITCHES, assert_bridge_netfilter


async def test_it_is_switched_on_where_it_is_off(tmp_path: Path) -> None:
    for name in SWITCHES:
        (tmp_path / name).write_text("0\n")
    await assert_bridge_netfilter(tmp_path)
    assert {(tmp_path / name).read_text().strip() for name in SWITCHES} == {"1"}


async def test_what_is_on_is_only_read(tmp_path: Path) -> None:
    for name in SWITCHES:
        (tmp_path / name).write_text("1\n")
    await assert_bridge_netfilter(tmp_path)
    assert {(tmp_path / name).read_text() for name in SWITCHES} == {"1\n"}


async def test_where_there_is_no_such_switch_isolation_is_broken(tmp_path: Path) -> None:
    with pytest.raises(IsolationBroken, match="bridge-nf-call-iptables") as caught:
        await assert_bridge_netfilter(tmp_path / "bridge")
    assert "modprobe br_netfilter" in caught.value.hint
