"""A snapshot of a tenant of the bench, in a real repository that its restores know; nobody carries them out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from innkeeper.core.manifest import manifest_of
from innkeeper.core.ports.snapshots import LOCAL, Repository
from innkeeper.core.restored_spec import RestoredSpecs
from innkeeper.core.restores import Restores
from innkeeper.core.shelf import Shelf
from innkeeper.core.works import Works
from innkeeper.restic import Calls, ResticStore, Target
from innkeeper.units.erase import erase
from tests.api.bench import Bench, restored_files_of
from tests.support.house import HOSTING
from tests.support.restoring import RepositoryKeys


async def deposited(bench: Bench, folder: Path, name: str = "alice") -> str:
    """The id that a fresh snapshot of the tenant has in its repository below the folder."""
    house, keys = bench.house, RepositoryKeys()
    target = Target(name=LOCAL, folder=folder / "repositories")
    (folder / "repositories").mkdir(parents=True, exist_ok=True)
    store = ResticStore(Calls([target], keys, folder / "cache"), erase=erase)
    tenant, now = await house.tenant(name), house.clock.now()
    manifest = manifest_of(tenant, snapshot="snap_x", taken_at=now, consented=None, packs={}, secrets=[])
    folders = {f"/{each}": folder / "of" / name / each for each in ("persistence", "unit", "innkeeper")}
    for each in folders.values():
        each.mkdir(parents=True, exist_ok=True)
    (folders["/innkeeper"] / "manifest.json").write_bytes(manifest.dumped())
    repository = Repository(target=LOCAL, owner=tenant.id)
    await store.ready(repository)
    saved = await store.save(repository, folders, name=name, at=now)
    keys.made |= {path.name for path in (folder / "repositories").iterdir()}
    shelf = Shelf(store, keys)
    restores = Restores(
        store=house.store,
        shelf=shelf,
        specs=RestoredSpecs(store=house.store, runtime=house.runtime, agents=house.control.agents),
        units=house.units,
        works=Works(store=house.store, bus=house.bus, clock=house.clock),
        bus=house.bus,
        clock=house.clock,
        domain=HOSTING.domain,
    )
    files = restored_files_of(house, bench.inn.data, shelf)
    bench.app.state.inn = replace(bench.inn, restores=restores, restored_files=files)
    return saved.id
