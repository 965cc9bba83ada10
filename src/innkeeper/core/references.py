"""References to secrets in an agent's own config: `${secret:NAME}`, where an adapter says that one has to be inside.

Everything else that needs a credential goes by the broker, which puts it on the way out: what lies in a config can be
read by the agent, and so by whoever talks it into that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from innkeeper.core.errors import AgentConfigInvalid, InvalidSpec
from innkeeper.core.secrets import NAME, OURS

if TYPE_CHECKING:  # they know of specs, which are checked here
    from innkeeper.core.ports import Transaction
    from innkeeper.core.tenant import Spec, Tenant

Path = tuple[str, ...]
KeepsSecret = Callable[[Path], bool]
"""Whether the agent has to hold a secret at that place of its config; lists count as the key that they stand under."""

MARK = "${secret:"
_REFERENCE = re.compile(r"\$\{secret:(" + NAME.pattern + r")\}")
_ENVIRONMENT = re.compile(r"\$\{[A-Z][A-Z0-9_]*\}")
_CREDENTIAL = re.compile(
    r"(?:token|secret|passw(?:or)?d|passphrase|authorization|cookie|(?:api|private|access|encrypt|aes)[_-]?key)$",
    re.IGNORECASE,
)
_NAMED = 5
BYTES_MAX, DEPTH_MAX = 64 << 10, 20


def checked_config(config: Mapping[str, Any], keeps_secret: KeepsSecret) -> Mapping[str, Any]:
    """The config itself, or InvalidSpec, which names the place and never what stands there."""
    _check_size(config)
    for path, text in _texts(config):
        where = ".".join(("config", *path))
        found = _REFERENCE.fullmatch(text)
        if MARK in text and found is None:
            raise InvalidSpec(
                f"{where} mixes a reference with other text, or names no secret.",
                field=where,
                hint="The whole value is one reference, like `${secret:TELEGRAM_TOKEN}`.",
            )
        if found is not None and found[1].startswith(OURS):
            raise InvalidSpec(f"{where} refers to an integration's token.", field=where, hint=_BROKER)
        if found is not None and not keeps_secret(path):
            raise InvalidSpec(f"The agent need not hold a secret at {where}.", field=where, hint=_BROKER)
        if found is None and text and names_secret(path[-1]) and not _ENVIRONMENT.fullmatch(text):
            raise InvalidSpec(
                f"{where} holds a secret in the clear.",
                field=where,
                hint="Put it into the vault with `innkeeper secret set`, and `${secret:NAME}` here."
                if keeps_secret(path)
                else _BROKER,
            )
    return config


_BROKER = "The broker puts credentials for models, tools and APIs on: see `uses`. A channel's own token may be here."


async def check_references(tx: Transaction, tenant: Tenant, spec: Spec) -> None:
    """Raise InvalidSpec where the vault lacks what the config refers to: it would take the tenant down."""
    names = references(spec.config)
    there = {version.name for version in await tx.secrets.versions(tenant.id)} if names else set()
    if lacking := sorted(names - there):
        raise InvalidSpec(
            f"The config refers to {', '.join(lacking[:_NAMED])}, of which {tenant.name} has no secret.",
            field="config",
            hint=f"Set it first: `innkeeper secret set {tenant.name} {lacking[0]}`.",
        )


def names_secret(key: str) -> bool:
    """Whether what goes by that key in a config is a credential, by all that is usual."""
    return _CREDENTIAL.search(key) is not None


def references(config: Mapping[str, Any]) -> frozenset[str]:
    """The secrets that it refers to."""
    return frozenset(found[1] for _, text in _texts(config) if (found := _REFERENCE.fullmatch(text)))


def resolved(config: Mapping[str, Any], values: Mapping[str, str]) -> Mapping[str, Any]:
    """The config with those values in place; AgentConfigInvalid for one that the agent would take for a variable."""
    for name, value in values.items():
        if not fills(value):
            raise AgentConfigInvalid(
                f"The secret {name} holds `${{`, which agents' configs take for a variable.", hint="Set another value."
            )
    filled: Mapping[str, Any] = _filled(config, values)
    return filled


def fills(value: str) -> bool:
    """Whether an agent takes it as it is, and for no variable of its own."""
    return "${" not in value


def paths(config: Mapping[str, Any]) -> list[str]:
    """Where something is said, for the trail: it tells no values."""
    return sorted({".".join(path) for path, _ in _leaves(config, ())})


def _filled(node: Any, values: Mapping[str, str]) -> Any:
    if isinstance(node, Mapping):
        return {key: _filled(value, values) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_filled(value, values) for value in node]
    found = _REFERENCE.fullmatch(node) if isinstance(node, str) else None
    return values[found[1]] if found else node


def _texts(config: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    return ((path, leaf) for path, leaf in _leaves(config, ()) if isinstance(leaf, str))


def _leaves(node: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(value, (*path, str(key)))
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _leaves(value, path)
    else:
        yield path, node


def _check_size(config: Mapping[str, Any]) -> None:
    try:
        deep = _depth(config) > DEPTH_MAX
        size = len(json.dumps(config, allow_nan=False).encode())
    except (ValueError, TypeError, RecursionError):
        raise InvalidSpec("`config` isn't plain JSON.", field="config") from None
    if deep or size > BYTES_MAX:
        raise InvalidSpec(
            "That is too much config.",
            field="config",
            hint=f"At most {BYTES_MAX >> 10} KiB and {DEPTH_MAX} levels; the rest belongs in the agent's own files.",
        )
    if any(MARK in key for path, _ in _leaves(config, ()) for key in path):
        raise InvalidSpec("A key of `config` can't be a reference.", field="config")


def _depth(node: Any) -> int:
    below = node.values() if isinstance(node, Mapping) else node if isinstance(node, list | tuple) else None
    return 0 if below is None else 1 + max(map(_depth, below), default=0)
