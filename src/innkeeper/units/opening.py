"""A source as somebody named it, opened as the tree that its importer reads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from innkeeper.core.adoption import Asked, Seed
from innkeeper.core.import_errors import SourceMissing
from innkeeper.units.archive import Caps, open_archive
from innkeeper.units.importers.zeptoclaw import VOLUMES
from innkeeper.units.source_paths import Premises, identity, opened
from innkeeper.units.tar_headers import Kind
from innkeeper.units.trees import FolderTree, JoinedTree, TarTree, Tree

DOCKER_VOLUMES = "/var/lib/docker/volumes"
_PROJECT = "zeptoclaw_"
_ARCHIVES = (".tar.gz", ".tgz", ".tar")


@contextmanager
def tree_at(asked: Asked, premises: Premises, caps: Caps, *, upload: Path | None = None) -> Iterator[Tree]:
    """What lies there, looked through; open for as long as the block lasts."""
    with ExitStack() as stack:
        if upload is not None:
            yield TarTree(stack.enter_context(open_archive(upload)), asked.name or "unit", caps)
            return
        tree = _tree(asked.path, premises, caps, stack)
        if asked.seed is Seed.ZEPTOCLAW:
            tree = JoinedTree(tree, _volumes(tree, asked, premises, caps, stack))
        yield tree


def _tree(path: str, premises: Premises, caps: Caps, stack: ExitStack) -> Tree:
    source = opened(path, premises)
    if source.is_folder:
        stack.callback(os.close, source.descriptor)
        return FolderTree(source.descriptor, source.name, caps, never=identity(premises.data))
    return TarTree(stack.enter_context(os.fdopen(source.descriptor, "rb")), source.name, caps)


def _volumes(tree: Tree, asked: Asked, premises: Premises, caps: Caps, stack: ExitStack) -> dict[str, Tree]:
    """The volume of each tenant that the source has, as far as they are there."""
    names = {
        path.split("/")[-2] if "/" in path else tree.name
        for path, entry in tree.entries.items()
        if path.rpartition("/")[2] == "config.json" and entry.kind is Kind.FILE and path.count("/") <= 2
    }
    found = {}
    for name in sorted(names):
        for path in _places(name, asked.volumes or DOCKER_VOLUMES):
            try:
                found[f"{VOLUMES}/{name}"] = _tree(path, premises, caps, stack)
            except SourceMissing:
                continue
            break
    return found


def _places(name: str, folder: str) -> list[str]:
    """Where a tenant's volume may be: as Docker has it, copied from there, or backed up."""
    called = (f"{_PROJECT}{name}-data", f"{name}-data", name)
    return [
        *(f"{folder}/{each}/_data" for each in called),
        *(f"{folder}/{each}" for each in called),
        *(f"{folder}/{each}{ending}" for each in called for ending in _ARCHIVES),
    ]
