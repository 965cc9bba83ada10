"""Making a folder ready: a snapshot is taken down beside the tenants' folders and looked through, while the tenant that
it is for lives on."""

from __future__ import annotations

import json

from innkeeper.core.errors import DiskFull, Problem
from innkeeper.core.manifest import READ_LIMIT_BYTES, Manifest, read_manifest
from innkeeper.core.ports.stages import Stage, Stages
from innkeeper.core.restore_asked import Asked
from innkeeper.core.restored_spec import RestoredSpecs
from innkeeper.core.shelf import Shelf
from innkeeper.core.snapshot_errors import SnapshotDamaged
from innkeeper.core.tenant import Spec
from innkeeper.core.works import Tell

SPARE_BYTES = 256 << 20
"""So much of the disk is left to the tenants that live on."""
MANIFEST = "manifest.json"
_NAMED = 3
MB = 1 << 20


class Staging:
    """Takes snapshots down to where they become folders."""

    def __init__(self, *, shelf: Shelf, stages: Stages, specs: RestoredSpecs) -> None:
        self._shelf = shelf
        self._stages = stages
        self._specs = specs

    async def take_down(self, asked: Asked, stage: Stage, tell: Tell) -> Manifest:
        """Have the snapshot lie in the stage as a whole unit that holds; all that is raised leaves nothing there."""
        try:
            manifest = await self._shelf.manifest(asked.snapshot)
            if manifest.tenant_id != asked.snapshot.tenant_id:
                raise SnapshotDamaged(f"The snapshot {asked.snapshot.id} says that it is another tenant's.")
            await self._take(asked, stage, tell)
            await self._stages.note(stage, MANIFEST, manifest.dumped())
            tell.step("looking through what was restored", 1, 2)
            if broken := await self._stages.assemble(stage):
                more = f" and {len(broken) - _NAMED} more" if len(broken) > _NAMED else ""
                raise SnapshotDamaged(
                    f"Databases in the snapshot don't hold: {'; '.join(broken[:_NAMED])}{more}.",
                    hint="Restore an earlier snapshot; what is whole in this one can be had with `--path`.",
                )
        except Problem:
            await self._stages.drop(stage)
            raise
        return manifest

    async def take_paths(self, asked: Asked, stage: Stage, tell: Tell) -> None:
        """The same for single paths, which aren't looked into."""
        try:
            await self._take(asked, stage, tell, paths=tuple(f"/persistence/{path}" for path in asked.paths))
        except Problem:
            await self._stages.drop(stage)
            raise

    async def manifest(self, stage: Stage) -> Manifest:
        """What the snapshot in the stage says of its tenant."""
        kept = await self._stages.noted(stage, MANIFEST, limit=READ_LIMIT_BYTES)
        if kept is None:
            raise SnapshotDamaged(f"{self._stages.folder(stage)} isn't whole any more.")
        return read_manifest(kept)

    async def _take(self, asked: Asked, stage: Stage, tell: Tell, *, paths: tuple[str, ...] = ()) -> None:
        tell.step("measuring the snapshot", 0, 2)
        sizes = [await self._shelf.size(asked.snapshot, path) for path in paths or ("/",)]
        room = await self._stages.room_bytes()
        if sum(sizes) + SPARE_BYTES > room:
            raise DiskFull(
                f"The snapshot takes {sum(sizes) // MB} MB, and {room // MB} MB are free, of which "
                f"{SPARE_BYTES // MB} MB are left to others.",
                hint="Free some space, then restore again. Nothing was changed.",
            )
        tell.step("restoring from the repository", 0, 2)

        def tell_bytes(done: int, of: int) -> None:
            tell.step("restoring from the repository", done // MB, max(1, of // MB))

        await self._shelf.restore(asked.snapshot, lambda: self._stages.begin(stage), paths=paths, tell=tell_bytes)

    async def unreadable_configs(self, spec: Spec, stage: Stage) -> list[str]:
        """Which of its agent's config files aren't JSON: those are kept aside when it starts, and told of."""
        files = await self._stages.read(stage, self._specs.agent(spec).config_paths())
        return sorted(path for path, content in files.items() if path.endswith(".json") and not _is_json(content))


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:
        return False
    return True
