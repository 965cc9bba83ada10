"""Whatever is stored, sent or shown has lost its secrets before: one test for each way out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from innkeeper.api.problems import document as api_document
from innkeeper.broker.calls import Dialect
from innkeeper.broker.refusals import error_body
from innkeeper.cli import show
from innkeeper.cli.exits import failed
from innkeeper.core import redaction
from innkeeper.core.access import SYSTEM
from innkeeper.core.audit import entry
from innkeeper.core.errors import Invalid, RuntimeFault
from innkeeper.core.events import CapacityShort, CertificateFailed, utc_now
from innkeeper.core.known_secrets import KnownSecrets
from innkeeper.core.last_words import BYTES_KEPT
from innkeeper.core.operations import FAULTS_TOLERATED, Trouble
from innkeeper.core.plan import CRASHES
from innkeeper.core.redaction import hide, redact
from innkeeper.problems import document
from innkeeper.runtimes.memory_faults import Call, Fault, Mishap
from innkeeper.settings import Settings
from innkeeper.store.engines import connect
from tests.api.bench import Bench
from tests.api.listening import stream
from tests.store.databases import sqlite_url
from tests.support.serving import serving

CANARY = "the-canary-sings-77"
LOOKS_SO = "sk-canary-0123456789"


@pytest.fixture(autouse=True)
def _hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_known", KnownSecrets())
    hide(CANARY)


def clean(told: object) -> bool:
    """Whether neither is in it."""
    words = told if isinstance(told, str) else json.dumps(told, default=str)
    return CANARY not in words and LOOKS_SO not in words


def test_a_problem_in_every_form() -> None:
    problem = Invalid(f"no {CANARY}", hint=f"nor {LOOKS_SO}", field=CANARY)
    assert clean(document(problem))
    assert clean(api_document(problem, errors=[{"field": CANARY, "says": f"not {LOOKS_SO}"}]))
    assert all(clean(error_body(dialect, problem).decode()) for dialect in Dialect)
    assert clean(vars(Trouble.of(problem)))


def test_the_trail() -> None:
    told: Mapping[str, object] = {"host": CANARY, "uses": {"mcp": [LOOKS_SO]}}
    assert clean(vars(entry(SYSTEM, "tenant.update", at=utc_now(), detail=told, before=told, after=told)))


@pytest.mark.parametrize("as_json", [True, False])
def test_the_command_line(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    show.error(failed("a_code", f"no {CANARY}", f"nor {LOOKS_SO}"), as_json=as_json)
    said = "".join(capsys.readouterr())
    assert "no …" in said
    assert clean(said)


async def test_a_database_that_refuses_a_row(tmp_path: Path) -> None:
    engines = connect(sqlite_url(tmp_path))
    async with engines.writes.begin() as tx:
        await tx.execute(text("CREATE TABLE a (b TEXT CHECK (b = 'x'))"))
    with pytest.raises(DBAPIError) as refusal:
        async with engines.writes.begin() as tx:
            await tx.execute(text("INSERT INTO a VALUES (:b)"), {"b": "not-hidden-at-all"})
    assert "not-hidden-at-all" not in str(refusal.value)
    await engines.dispose()


def test_settings_hide_what_they_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CF_API_TOKEN", "a-token-for-dns")
    monkeypatch.setenv("ACME_KEY", "key-of-acme")
    monkeypatch.setenv("ACME_CLIENT", "client-of-acme")
    service = {f"{each}_url": f"https://acme.example/{each}" for each in ("authorize", "token")}
    settings = Settings(
        data=tmp_path,
        database_url=SecretStr("postgresql+psycopg://inn:pass%2Fw/ord@db/inn"),
        openai_api_key=SecretStr("a-provider-key"),
        tls_dns="cloudflare {env.CF_API_TOKEN}",
        providers={"acme": {"kind": "http", "base_url": "https://acme.example", "keys": ["${env:ACME_KEY}"]}},
        integrations={"acme": {**service, "client_id": "inn", "client_secret": "${env:ACME_CLIENT}"}},
    )
    settings.hide_secrets()
    said = "wrong: a-token-for-dns, a-provider-key, pass%2Fw/ord, pass/w/ord, key-of-acme, client-of-acme"
    assert redact(said) == "wrong: …, …, …, …, …, …"


# --- what a tenant's trouble says, stored and told --------------------------------------------------------------------


async def stored(bench: Bench, tenant: str) -> str:
    """What the store itself holds of its troubles."""
    async with bench.house.store.look() as tx:
        operations = await tx.operations(tenant=tenant, open_only=False, after="", limit=100)
        found = await tx.tenant(tenant)
    assert found is not None
    return f"{found.seen.error} {[each.error for each in operations]}"


async def test_what_docker_says_of_a_failed_step(bench: Bench) -> None:
    house = bench.house
    await house.record_release("1.0")
    await house.create("alice")
    for failures in range(FAULTS_TOLERATED + 1):
        fault = Fault(mishap=Mishap.BEFORE, error=lambda: RuntimeFault(f"no {CANARY}, nor {LOOKS_SO}", hint=CANARY))
        house.runtime.faults[Call.CREATE].append(fault)
        with suppress(RuntimeFault):
            await house.reconciler.work("alice", house.nap, failures=failures)
    said = await stored(bench, "alice")
    assert "no …, nor sk-…" in said
    assert clean(said)


async def test_the_last_words_of_an_agent(bench: Bench) -> None:
    house = bench.house
    await bench.tenant("alice")
    # Cut in the middle of the secret, if they weren't redacted before that.
    house.runtime.say("alice", f"so {CANARY} " + "x" * (BYTES_KEPT - 10))
    house.runtime.say("alice", f"fatal: {LOOKS_SO}")
    for _ in range(CRASHES):
        house.runtime.crash("alice", exit_code=3)
        await house.settle()
    said = await stored(bench, "alice")
    assert "fatal: sk-…" in said
    assert clean(said)
    assert "sings-77" not in said


async def test_events(bench: Bench) -> None:
    async with serving(bench.app) as url, stream(bench, url, "/v1/events") as events:
        assert (await anext(events))[0] == "listening"
        bench.house.bus.publish(CapacityShort(tenant="a", problem=Invalid(f"no {CANARY}", hint=LOOKS_SO)))
        bench.house.bus.publish(CertificateFailed(tenant="a", host="a.example", says=f"{CANARY} {LOOKS_SO}"))
        for _ in range(2):
            name, told = await anext(events)
            assert "…" in json.dumps(told, ensure_ascii=False), name
            assert clean(told)
