"""The vault: a hundred secrets for an agent's config, one for a call, and what keys cost."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from bench.report import Area, Floor, Row, row
from bench.samples import samples, timed_ms
from innkeeper.core.access import ADMIN
from innkeeper.core.events import Bus, utc_now
from innkeeper.core.references import references, resolved
from innkeeper.core.secret_errors import SecretMissing
from innkeeper.core.tenant import Limits, Spec, Tenant
from innkeeper.core.vault import Vault
from innkeeper.keyring import Keyring
from innkeeper.store.sql import SqlStore
from innkeeper.wiring import SystemClock

SECRETS = 100
KEYS, QUICK_KEYS = 1_000, 100
CONFIG = {
    "channels": {"telegram": {"accounts": {f"a{n}": {"botToken": f"${{secret:KEY_{n}}}"} for n in range(SECRETS)}}}
}
SPEC = Spec(agent="openclaw", release="1", image="sha256:0", limits=Limits(memory_mb=2048, cpus=2.0), config=CONFIG)
ALICE = Tenant(id="tn_alice", name="alice", spec=SPEC, slot=0, created_at=utc_now())


async def measure(*, quick: bool) -> Area:
    """On SQLite, with all fsyncs."""
    rounds, keys = (10, QUICK_KEYS) if quick else (50, KEYS)
    with tempfile.TemporaryDirectory() as folder:
        url, data = f"sqlite+aiosqlite:///{folder}/innkeeper.db", Path(folder)
        keyring = Keyring.open(data, is_new=True)
        store = await SqlStore.open(url, links=keyring)
        try:
            rows = await _secrets(store, keyring, url, rounds)
            rows += await _keys(data, keys)
        finally:
            await store.close()
    return Area(name="vault", how=f"SQLite, {SECRETS} secrets of one tenant; {keys} tenants' data keys.", rows=rows)


async def _secrets(store: SqlStore, keyring: Keyring, url: str, rounds: int) -> list[Row]:
    async with store.begin() as tx:
        await tx.add_tenant(replace(ALICE, spec=replace(SPEC, config={})))
    vault = _vault(store, keyring)
    setting = [await _ms(partial(vault.set, "alice", f"KEY_{n}", "x" * 44, actor=ADMIN)) for n in range(SECRETS)]

    async def at_a_start() -> None:
        anew = _vault(store, keyring)
        resolved(CONFIG, await anew.reveal_all(references(CONFIG), ALICE))

    cold = samples([await _ms(at_a_start) for _ in range(rounds)])
    floor = Floor(what="the same rows read and as much AES-GCM, bare", value=await _bare_ms(url, rounds))
    await vault.reveal("KEY_1", ALICE)
    one = samples([await _many_us(lambda: vault.reveal("KEY_1", ALICE)) for _ in range(rounds)])
    missing = samples([await _ms(lambda: _missing(vault)) for _ in range(rounds)])
    token = keyring.broker_token(ALICE.id, 1)
    checks = timed_ms(lambda: [token == keyring.broker_token(ALICE.id, 1) for _ in range(1000)], rounds)
    return [
        row(f"{SECRETS} secrets resolved at a start", cold, "ms", floor=floor),
        row("one set, with its line in the trail", samples(setting), "ms"),
        row("one revealed for a call, known already", one, "µs"),
        row("one that isn't there", missing, "ms"),
        row("a broker token derived to be compared", checks, "µs", note="a thousand at a time"),
    ]


async def _keys(data: Path, keys: int) -> list[Row]:
    keyring = Keyring.open(data)
    making = timed_ms(_each(lambda n: keyring.seal(f"tn_{n}", "x", b"x")), keys)
    opening = timed_ms(lambda: Keyring.open(data), 5)
    began = perf_counter()
    done = await asyncio.to_thread(keyring.rotate)
    seconds = perf_counter() - began
    began = perf_counter()
    await keyring.destroy("tn_0")
    destroyed = (perf_counter() - began) * 1000
    return [
        row("a data key made, on the disk", making, "ms"),
        row("the keyring opened", opening, "ms"),
        Row(what=f"a rotation that wraps {done.rewrapped} data keys", value=seconds * 1000, unit="ms"),
        Row(what="a data key destroyed, on the disk", value=destroyed, unit="ms"),
    ]


def _vault(store: SqlStore, keyring: Keyring) -> Vault:
    return Vault(
        store=store,
        seals=keyring,
        keys=keyring,
        bus=Bus(),
        clock=SystemClock(),
        hide=lambda _: None,
        hide_chosen=lambda _: None,
    )


async def _missing(vault: Vault) -> None:
    with suppress(SecretMissing):
        await vault.reveal("NONE", ALICE)


async def _bare_ms(url: str, rounds: int) -> float:
    """Without us: a query for the rows, and the cipher on as many bytes."""
    engine, cipher = create_async_engine(url), AESGCM(os.urandom(32))
    sealed = [cipher.encrypt(b"n" * 12, b"x" * 44, b"alice") for _ in range(SECRETS)]

    async def once() -> None:
        async with engine.connect() as connection:
            (await connection.execute(text("SELECT * FROM secrets WHERE owner = 'tn_alice'"))).all()
        for each in sealed:
            cipher.decrypt(b"n" * 12, each, b"alice")

    try:
        return samples([await _ms(once) for _ in range(rounds)]).p50
    finally:
        await engine.dispose()


async def _ms(work: Callable[[], Awaitable[object]]) -> float:
    began = perf_counter()
    await work()
    return (perf_counter() - began) * 1000


async def _many_us(work: Callable[[], Awaitable[object]], times: int = 1000) -> float:
    """Of one of many in a row."""
    began = perf_counter()
    for _ in range(times):
        await work()
    return (perf_counter() - began) * 1e6 / times


def _each(work: Callable[[int], object]) -> Callable[[], object]:
    numbers = iter(range(1 << 30))
    return lambda: work(next(numbers))
