"""A fence around an agent's channels: all are off, and what the user had said of each is kept for when it falls.

What was said lies in a file of ours beside the agent's config, which often takes no keys but its own. It is written
before a channel is switched off, and emptied only when all are as they were: a crash between the two loses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from innkeeper.agents.jsonfile import NOTHING, Tree, value_at
from innkeeper.core.ports import ConfigFile

_CHANNELS, _ENABLED = "channels", "enabled"


@dataclass(frozen=True, kw_only=True)
class Fence:
    """What is to be done to a config, and to the file of ours before or after it."""

    changes: Mapping[str, Any] = field(default_factory=dict)
    """The value of `enabled`, by channel; NOTHING: the key goes."""
    before: tuple[ConfigFile, ...] = ()
    after: tuple[ConfigFile, ...] = ()

    def laid_on(self, tree: Tree) -> dict[str, Any]:
        """Keys of ours, with those of the fence over them."""
        if not self.changes:
            return dict(tree)
        channels = dict(tree.get(_CHANNELS, {}))
        for name, enabled in self.changes.items():
            channels[name] = {**channels.get(name, {}), _ENABLED: enabled}
        return {**tree, _CHANNELS: channels}


def channel_fence(
    theirs: Tree, config: Tree, kept: bytes | None, *, path: str, up: bool, no_channels: Collection[str] = ()
) -> Fence:
    """The fence for a config of which the user says `theirs`, and the spec `config` among it, where `kept` lies at
    `path`; `no_channels` are keys among the channels that name none."""
    named = theirs.get(_CHANNELS)
    channels = {
        name: channel.get(_ENABLED)
        for name, channel in (named.items() if isinstance(named, dict) else ())
        if isinstance(channel, dict) and name not in no_channels
    }
    former = _former(kept)
    if up:
        # One that is off without our having noted it was off before, and stays so.
        said = {name: former.get(name) if enabled is False else enabled for name, enabled in channels.items()}
        noted = {name: enabled for name, enabled in said.items() if channels[name] is not False or name in former}
        return Fence(changes=dict.fromkeys(channels, False), before=_file(path, noted, kept))
    off = (name for name in sorted(channels.keys() & former.keys()) if channels[name] is False)
    # Where the spec says that a channel is off, it isn't our doing.
    ours = {name: former[name] for name in off if value_at(config, _CHANNELS, name, _ENABLED) is None}
    changes = {name: NOTHING if enabled is None else enabled for name, enabled in ours.items()}
    return Fence(changes=changes, after=_file(path, {}, kept))


def _former(kept: bytes | None) -> dict[str, bool | None]:
    """What our file says. It lies where the agent may write, so only what makes sense is taken from it."""
    try:
        said = json.loads(kept or b"{}")
    except (ValueError, RecursionError):
        return {}
    channels = said.get(_CHANNELS) if isinstance(said, dict) else None
    return {
        name: enabled
        for name, enabled in (channels.items() if isinstance(channels, dict) else ())
        if enabled is None or isinstance(enabled, bool)
    }


def _file(path: str, noted: Mapping[str, Any], kept: bytes | None) -> tuple[ConfigFile, ...]:
    if not noted and kept is None:
        return ()
    # A value that isn't one of the two means "on" to whoever reads it, and is said so.
    plain = {name: enabled if enabled is None or isinstance(enabled, bool) else True for name, enabled in noted.items()}
    content = json.dumps({_CHANNELS: plain} if plain else {}, indent=2, sort_keys=True).encode() + b"\n"
    return (ConfigFile(path=path, content=content),)
