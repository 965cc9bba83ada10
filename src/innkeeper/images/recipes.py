"""How each agent's image is made: pure data, whose hash says whether an image is still the right one."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum

from innkeeper.core.errors import ReleaseTooOld, UnknownAgent, UnknownRelease
from innkeeper.core.release import version_key

_VERSION = re.compile(r"[0-9][0-9A-Za-z.-]{0,60}")
"""No path, no address: the version becomes part of what npm and pip are asked for."""
_BESIDE = {"disk_mb", "minimum", "minimum_because", "official"}
"""Fields that don't change what is built."""


class User(StrEnum):
    """As whom a step runs inside the build container."""

    ROOT = "0:0"
    AGENT = "1000:1000"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One program run inside the build container; `{version}` in its arguments is filled in."""

    says: str
    argv: tuple[str, ...]
    user: User = User.AGENT


@dataclass(frozen=True, kw_only=True)
class Prune:
    """What below `root` a gateway doesn't need, as shell patterns of names (or of paths, with a slash)."""

    root: str
    files: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Base:
    """The operating system under every agent: `bootstrap` first, then `packages` with security updates."""

    bootstrap: tuple[str, ...]
    packages: tuple[str, ...]
    leave_out: tuple[str, ...]
    """What of the bootstrapped system is left out, as tar's patterns."""
    steps: tuple[Step, ...]
    prune: tuple[Prune, ...]
    disk_mb: int


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one agent becomes an image."""

    agent: str
    version: str
    minimum: str
    """The security floor: older versions are refused."""
    minimum_because: str
    official: str | None
    """The agent's own image, tagged by version, if it publishes one."""
    steps: tuple[Step, ...]
    prune: tuple[Prune, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    workdir: str
    command: tuple[str, ...]
    disk_mb: int
    """Free space that a build needs at its peak."""

    def at(self, version: str | None) -> Recipe:
        """The recipe for another version, or ReleaseTooOld."""
        wanted = version or self.version
        if not _VERSION.fullmatch(wanted):
            raise UnknownRelease(f"{wanted[:60]!r} is no version of {self.agent}.", field="version")
        if version_key(wanted) < version_key(self.minimum):
            raise ReleaseTooOld(
                f"{self.agent} {wanted} is older than {self.minimum}: {self.minimum_because}",
                hint=f"Use {self.minimum} or newer.",
                field="version",
            )
        return replace(self, version=wanted)


def fingerprint(base: Base, recipe: Recipe | None = None) -> str:
    """The hash of all that decides what an image holds, and of nothing else."""
    inputs = [
        {key: value for key, value in asdict(part).items() if key not in _BESIDE} for part in (base, recipe) if part
    ]
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def recipe_for(agent: str, version: str | None, recipes: Mapping[str, Recipe]) -> Recipe:
    """The recipe that makes `agent`, or UnknownAgent."""
    if agent not in recipes:
        known = ", ".join(sorted(recipes))
        raise UnknownAgent(f"There is no image recipe for {agent!r}; there are {known}.", field="agent")
    return recipes[agent].at(version)


def prune_argv(rule: Prune) -> tuple[tuple[str, ...], ...]:
    """The `find` calls that carry a rule out."""
    calls: list[tuple[str, ...]] = []
    if rule.folders:
        matches = _any_of(rule.folders)
        calls.append(("find", rule.root, "-depth", "-type", "d", *matches, "-exec", "rm", "-rf", "--", "{}", "+"))
    if rule.files:
        calls.append(("find", rule.root, "-not", "-type", "d", *_any_of(rule.files), "-delete"))
    return tuple(calls)


def _any_of(patterns: tuple[str, ...]) -> tuple[str, ...]:
    tests = [("-path" if "/" in pattern else "-name", pattern) for pattern in patterns]
    joined = [part for test in tests for part in ("-o", *test)]
    return ("(", *joined[1:], ")")
