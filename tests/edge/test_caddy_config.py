"""The configuration is a pure function of the settings; `Caddyfile` beside this file is what it makes of one plan."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from innkeeper.core.errors import EdgeFault
from innkeeper.edge.caddy_config import EdgePlan, render

PLAN = EdgePlan(host="0.0.0.0", port=8080, run=Path("/var/lib/innkeeper/run"), wake_deadline_s=30)
EXPECTED = Path(__file__).with_name("Caddyfile")


def test_it_is_as_expected() -> None:
    if os.environ.get("UPDATE_SNAPSHOTS"):
        EXPECTED.write_text(render(PLAN))
    assert render(PLAN) == EXPECTED.read_text()


@pytest.mark.parametrize("folder", ['a"b', "a{b", "a\\b", "a\nb", "a`b"])
def test_a_path_that_would_change_its_meaning_is_refused(folder: str) -> None:
    with pytest.raises(EdgeFault):
        render(EdgePlan(host="127.0.0.1", port=8080, run=Path("/data") / folder, wake_deadline_s=30))


@pytest.mark.parametrize("host", ["localhost", "0.0.0.0 {", "*", ""])
def test_only_addresses_are_listened_on(host: str) -> None:
    with pytest.raises(EdgeFault):
        render(EdgePlan(host=host, port=8080, run=Path("/data"), wake_deadline_s=30))
