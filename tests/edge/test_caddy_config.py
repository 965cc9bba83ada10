"""The configuration is a pure function of the settings; `Caddyfile` beside this file is what it makes of one plan."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from innkeeper.core.errors import EdgeFault
from innkeeper.core.policy import DEADLINE_MAX_S
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


@pytest.mark.parametrize("usual_s", [0.1, 30, 600])
def test_caddy_is_more_patient_than_any_tenant_may_be_but_not_with_a_gate_that_is_away(usual_s: float) -> None:
    text = render(EdgePlan(host="127.0.0.1", port=8080, run=Path("/data"), wake_deadline_s=usual_s))
    asking = text.partition('bind "unix/')[0]  # before the courier's own site
    said = dict(re.findall(r"(response_header_timeout|lb_\w+) (\d+)(?:m?s)?$", asking, re.MULTILINE))

    assert int(said["response_header_timeout"]) > int(said["lb_try_duration"]) > DEADLINE_MAX_S
    away_s = int(said["lb_retries"]) * int(said["lb_try_interval"]) / 1000
    assert away_s == round(usual_s) + 10
    assert not re.search(r"^\s*(read_body|write|read_timeout|write_timeout)\b", text, re.MULTILINE), "no other end"
