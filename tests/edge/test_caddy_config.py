"""The configuration is a pure function of the settings; the `Caddyfile`s beside this file are what it makes of two."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from innkeeper.core.errors import EdgeFault
from innkeeper.core.policy import DEADLINE_MAX_S
from innkeeper.edge.caddy_config import EdgePlan, render
from innkeeper.edge.caddy_launch import find_binary
from innkeeper.edge.tls import Tls, Way

PLAN = EdgePlan(host="0.0.0.0", port=8080, run=Path("/var/lib/innkeeper/run"), wake_deadline_s=30)
TLS = Tls(
    way=Way.DNS,
    ask="http://127.0.0.1:8700/edge/ask",
    hsts_s=3600,
    dns="cloudflare {env.CF_API_TOKEN}",
    email="me@example.com",
)
WITH_TLS = replace(PLAN, port=80, tls=TLS, console_host="console.example.com", wildcard="*.example.com")


@pytest.mark.parametrize(("name", "plan"), [("Caddyfile", PLAN), ("Caddyfile.tls", WITH_TLS)])
def test_it_is_as_expected(name: str, plan: EdgePlan) -> None:
    expected = Path(__file__).with_name(name)
    if os.environ.get("UPDATE_SNAPSHOTS"):
        expected.write_text(render(plan))
    assert render(plan) == expected.read_text()


@pytest.mark.parametrize("way", Way)
def test_its_form_is_caddys_own(way: Way, tmp_path: Path) -> None:
    tls = replace(
        TLS, way=way, directory="https://ca.example.com/dir", root=Path("/root.pem"), cert=Path("/c"), key=Path("/k")
    )
    file = tmp_path / "Caddyfile"
    file.write_text(render(replace(WITH_TLS, tls=tls)))

    assert subprocess.run([find_binary(), "fmt", "--diff", file], capture_output=True).returncode == 0


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
