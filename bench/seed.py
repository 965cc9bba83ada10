"""Tenants that are simply there: rows, keys and instances made up from a number, the same in every process."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import insert

from innkeeper.core.access import TenantKey, digest
from innkeeper.core.instance import Instance, State
from innkeeper.core.tenant import CustomAgent, Limits, Seen, Spec, Tenant
from innkeeper.keyring import Keyring
from innkeeper.keyring.data_keys import DataKey, wrap
from innkeeper.keyring.masters import masters_of
from innkeeper.store import rows, tables
from innkeeper.store.engines import connect
from innkeeper.store.migrate import migrate

BEGAN = datetime(2026, 11, 20, 6, tzinfo=UTC)


def name_of(number: int) -> str:
    """The name of tenant `number`; names sort as the numbers do."""
    return f"t{number:05d}"


def id_of(number: int) -> str:
    """The id of tenant `number`."""
    return f"tn_{number:026d}"


def tenant_of(number: int, *, port: int) -> Tenant:
    """Tenant `number`: running, ready, and answering at `port` of its own address."""
    instance = instance_of(number)
    custom = CustomAgent(image="bench:1", port=port)
    limits = Limits(memory_mb=512, cpus=1.0)
    return Tenant(
        id=id_of(number),
        name=name_of(number),
        spec=Spec(agent="custom", release="bench:1", image="sha256:bench", limits=limits, custom=custom),
        slot=number,
        created_at=BEGAN,
        seen=Seen(state=State.RUNNING, ready=True, instance_id=instance.id, started_at=instance.started_at),
    )


def instance_of(number: int) -> Instance:
    """What the runtime has for tenant `number`."""
    return Instance(
        tenant=name_of(number),
        state=State.RUNNING,
        id=f"memory-{number:06d}",
        tenant_id=id_of(number),
        revision=1,
        started_at=BEGAN + timedelta(seconds=number),
    )


def _key_of(number: int, which: int) -> TenantKey:
    return TenantKey(
        id=f"key_{which:02d}{number:024d}",
        tenant=name_of(number),
        tenant_id=id_of(number),
        name="seeded",
        hint="ik_k_seed…",
        digest=digest(f"seeded {number} {which}"),  # nobody's key: measurements make their own through the API
        created_at=BEGAN,
    )


def seed_keyring(data: Path, count: int) -> None:
    """Make a keyring with a data key for each of them in the fresh data directory, without waiting for the disk."""
    Keyring.open(data)
    master = masters_of((data / "keyring").read_bytes(), where="the keyring").newest
    for number in range(count):
        owner = f"tn_{number:026d}"
        key = DataKey(id=f"dk_{number:016d}", owner=owner, key=os.urandom(32), created_at=BEGAN)
        file = data / "keys" / f"{owner}.key"
        file.touch(mode=0o600)
        file.write_bytes(wrap(key, master).dumped())


async def seed(url: str, count: int, *, port: int, keys: int = 1) -> None:
    """Write `count` tenants with so many keys each into the fresh database at `url`, all at once."""
    engines = connect(url)
    try:
        await migrate(engines)
        async with engines.writes.begin() as connection:
            tenants = [rows.tenant_values(tenant_of(number, port=port)) for number in range(count)]
            await connection.execute(insert(tables.tenants), tenants)
            made = [rows.stamped(_key_of(number, which)) for number in range(count) for which in range(keys)]
            await connection.execute(insert(tables.keys), made)
    finally:
        await engines.dispose()
