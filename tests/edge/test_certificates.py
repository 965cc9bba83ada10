"""What is told of certificates, from Caddy's own files and log."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from innkeeper.core.certificates import CertificateState
from innkeeper.edge.caddy_config import EdgePlan
from innkeeper.edge.certificates import CertificateShelf
from innkeeper.edge.tls import Tls, Way
from tests.edge.test_tls import write_pair

NOW = datetime.now(UTC)


@pytest.fixture
def plan(tmp_path: Path) -> EdgePlan:
    return EdgePlan(host="127.0.0.1", port=80, run=tmp_path, wake_deadline_s=1, tls=Tls(way=Way.AUTHORITY))


def put(plan: EdgePlan, host: str, *, lasts: timedelta, began: timedelta, issuer: str = "acme") -> Path:
    folder = plan.storage / "certificates" / issuer / host
    folder.mkdir(parents=True)
    write_pair(folder / f"{host}.crt", folder / f"{host}.key", host, lasts=lasts, began=began)
    return folder / f"{host}.crt"


def say(plan: EdgePlan, host: str, *, at: datetime = NOW, says: str = "no", logger: str = "tls.obtain") -> None:
    line = {"level": "error", "ts": at.timestamp(), "logger": logger, "msg": "could not get certificate from issuer",
            "identifier": host, "issuer": "acme", "error": f"[{host}] {says}"}  # fmt: skip
    with plan.log.open("a") as log:
        log.write(json.dumps(line, separators=(",", ":")) + "\n")


def test_each_host_has_a_state(plan: EdgePlan) -> None:
    day = timedelta(days=1)
    put(plan, "fresh.example", lasts=60 * day, began=30 * day)
    put(plan, "late.example", lasts=10 * day, began=80 * day)
    put(plan, "over.example", lasts=-day, began=90 * day)
    put(plan, "wildcard_.inn.example", lasts=60 * day, began=30 * day)
    put(plan, "twice.example", lasts=-day, began=90 * day)
    put(plan, "twice.example", lasts=60 * day, began=30 * day, issuer="another")
    say(plan, "none.example", at=NOW + day / 24)

    states = CertificateShelf(plan).look().states(NOW)

    assert states == {
        "fresh.example": CertificateState.VALID,
        "late.example": CertificateState.EXPIRING,
        "over.example": CertificateState.EXPIRING,
        "*.inn.example": CertificateState.VALID,
        "twice.example": CertificateState.VALID,
        "none.example": CertificateState.FAILING,
    }


def test_a_failure_is_over_with_the_certificate_that_follows_it_or_a_day_later(plan: EdgePlan) -> None:
    shelf = CertificateShelf(plan)
    say(plan, "alice.example", at=NOW - timedelta(minutes=1), says="refused", logger="tls.renew")
    say(plan, "old.example", at=NOW - timedelta(days=2))
    [failure] = shelf.look().failures
    assert (failure.host, failure.says) == ("alice.example", "refused")

    put(plan, "alice.example", lasts=timedelta(days=90), began=timedelta())
    assert shelf.look().failures == ()

    say(plan, "alice.example", at=NOW + timedelta(hours=1))
    assert [each.host for each in shelf.look().failures] == ["alice.example"]


def test_only_what_is_new_is_read_also_when_the_log_is_turned_over(plan: EdgePlan) -> None:
    shelf = CertificateShelf(plan)
    say(plan, "one.example")
    shelf.look()
    with plan.log.open("r+") as log:
        log.write("x" * 10)  # what was read isn't read again
    say(plan, "two.example")
    assert {each.host for each in shelf.look().failures} == {"one.example", "two.example"}

    plan.log.rename(plan.log.with_name("caddy-old.log"))
    say(plan, "three.example")
    assert {each.host for each in shelf.look().failures} == {"one.example", "two.example", "three.example"}


@pytest.mark.parametrize(
    "line",
    [
        b'{"level":"error","logger":"tls.obtain","identifier":"x","error":"y"',
        b'{"level":"error","logger":"tls.obtain","identifier":"x","error":"y","ts":"soon"}',
        b'["tls.", "identifier", "error"]',
        b'{"level":"warn","logger":"tls.obtain","identifier":"x","error":"y","ts":1}',
        b'\xff"tls."identifier"error"',
    ],
)
def test_whatever_else_the_log_says(plan: EdgePlan, line: bytes) -> None:
    plan.log.write_bytes(line + b"\n")

    assert CertificateShelf(plan).look().failures == ()


def test_files_that_are_no_certificates(plan: EdgePlan) -> None:
    put(plan, "alice.example", lasts=timedelta(days=90), began=timedelta()).write_text("broken")

    assert CertificateShelf(plan).look().found == ()


def test_a_certificate_is_read_once(plan: EdgePlan) -> None:
    file = put(plan, "alice.example", lasts=timedelta(days=90), began=timedelta())
    shelf = CertificateShelf(plan)
    first = shelf.look().found
    stamp = file.stat()
    file.write_text("never read")
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))

    assert shelf.look().found == first
