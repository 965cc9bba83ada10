"""A JSON config that we share with the user: our keys set, theirs kept, a broken file kept aside."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ValidationError

from innkeeper.core.errors import AgentConfigInvalid
from innkeeper.core.ports import ConfigFile

Tree = Mapping[str, Any]

_EMPTY: Tree = MappingProxyType({})

NOTHING: Any = object()
"""As a value of ours: the key is not to be there, whatever the user says."""


def shared_json(
    path: str,
    existing: Mapping[str, bytes],
    *,
    ours: Callable[[Tree], Tree],
    defaults: Tree,
    schema: type[BaseModel],
    config: Tree = _EMPTY,
) -> list[ConfigFile]:
    """The file at `path`: `ours` over the spec's `config` over what the user has over `defaults`, checked by `schema`.

    `ours` is told what is below it. A file that needs no change is returned byte for byte, whoever formatted it.
    """
    before = existing.get(path)
    theirs = _parse(before)
    below = said(path, existing, config)
    tree = overlaid(overlaid(defaults, below), ours(below))
    _check(tree, schema, path)
    aside = []
    if before is not None and theirs is None:
        # Named by content, so that doing it again after a crash makes no second copy.
        name = f"{path}.broken-{hashlib.sha256(before).hexdigest()[:8]}"
        aside.append(ConfigFile(path=name, content=before))
    if before is not None and tree == theirs:
        return [ConfigFile(path=path, content=before)]
    content = json.dumps(tree, indent=2, ensure_ascii=False).encode() + b"\n"
    return [*aside, ConfigFile(path=path, content=content)]


def said(path: str, existing: Mapping[str, bytes], config: Tree) -> dict[str, Any]:
    """The spec's `config` over what the user has in the file at `path`."""
    return overlaid(_parse(existing.get(path)) or {}, patched(config))


def overlaid(below: Tree, above: Tree) -> dict[str, Any]:
    """Both trees merged; where both have a value that isn't an object on both sides, `above` wins."""
    merged = dict(below)
    for key, value in above.items():
        if value is NOTHING:
            merged.pop(key, None)
        elif isinstance(value, dict):
            under = merged.get(key)
            merged[key] = overlaid(under if isinstance(under, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def patched(config: Tree) -> dict[str, Any]:
    """A JSON merge patch (RFC 7396) as a tree to lay over another: null takes a key away."""
    return {
        key: NOTHING if value is None else patched(value) if isinstance(value, Mapping) else value
        for key, value in config.items()
    }


def value_at(tree: Tree, *keys: str) -> Any:
    """What lies under nested keys; None where nothing does."""
    here: Any = tree
    for key in keys:
        here = here.get(key) if isinstance(here, dict) else None
    return here


def _parse(content: bytes | None) -> dict[str, Any] | None:
    """The object in a file; None when there is no file, or when it holds something else."""
    if content is None:
        return None
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return tree if isinstance(tree, dict) else None


def _check(tree: Tree, schema: type[BaseModel], path: str) -> None:
    try:
        schema.model_validate(tree)
    except ValidationError as error:
        faults = [".".join(map(str, fault["loc"])) + ": " + fault["msg"] for fault in error.errors()]
        # The values themselves stay out of the message: some are tokens.
        raise AgentConfigInvalid(
            f"{path} would not hold: {'; '.join(faults)}.",
            hint="Mend the named keys in the tenant's persistence folder, or remove the file.",
        ) from None
