"""From what a caller asks for to a whole, valid spec: defaults filled in, bounds checked, errors naming their field."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypedDict, TypeVar

from innkeeper.core.errors import InvalidSpec, ReleaseTooOld
from innkeeper.core.ladder import DEFAULT_PRESET, PRESETS, SleepPolicy
from innkeeper.core.openings import InboxPath, checked_inbox, checked_public_paths
from innkeeper.core.packs import checked_packs
from innkeeper.core.plans import check_plan
from innkeeper.core.policy import Presets, changed_policy
from innkeeper.core.ports import Agent
from innkeeper.core.references import MARK, checked_config
from innkeeper.core.release import Release, version_key
from innkeeper.core.tenant import Access, CustomAgent, Limits, Mode, Spec
from innkeeper.core.uses_reading import changed_uses

MEMORY_MAX_MB = 1 << 20
CPUS_MIN, CPUS_MAX = 0.05, 512.0
CPUS_RESERVE_MIN = 0.002
"""Two of the kernel's 1024 shares of one CPU, the fewest that it knows."""
PIDS_MIN, PIDS_MAX = 64, 1 << 16
ENV_MAX, ENV_BYTES_MAX = 100, 32 << 10
HOSTNAMES_MAX = 20
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_RESERVED_ENV = ("INNKEEPER_", "LD_", "DOCKER_")
_OURS_ALONE = ("sleep", "access", "public_paths", "inbox", "uses", "packs")
"""What of a spec the gate and the loops go by, and the instance knows nothing of."""


@dataclass(frozen=True, kw_only=True)
class LimitsPatch:
    """Limits as asked for; None keeps what is, or takes the agent's default."""

    memory_mb: int | None = None
    cpus: float | None = None
    pids: int | None = None
    memory_reserve_mb: int | None = None
    """0: none."""
    cpus_reserve: float | None = None
    """0: none."""


@dataclass(frozen=True, kw_only=True)
class SpecPatch:
    """A spec as asked for; None keeps what is, or takes the default."""

    release: str | None = None
    image: str | None = None
    """One of the operator's own, for agents whose image can't be made here."""
    mode: Mode | None = None
    limits: LimitsPatch | None = None
    sleep: Mapping[str, Any] | None = None
    env: Mapping[str, str] | None = None
    hostnames: tuple[str, ...] | None = None
    access: Access | None = None
    custom: CustomAgent | None = None
    public_paths: tuple[str, ...] | None = None
    inbox: tuple[InboxPath, ...] | None = None
    config: Mapping[str, Any] | None = None
    uses: Mapping[str, Any] | None = None
    packs: tuple[str, ...] | None = None


class Known(TypedDict):
    """What of the installation a spec can speak of."""

    domain: str
    presets: Presets
    plans: Collection[str]


def new_spec(
    agent: Agent,
    release: Release,
    patch: SpecPatch,
    *,
    domain: str,
    presets: Presets = PRESETS,
    preset: str = DEFAULT_PRESET,
    plans: Collection[str] = (),
) -> Spec:
    """The spec of a new tenant: the agent's defaults, with the patch over them."""
    sleep = changed_policy(SleepPolicy(), {"preset": preset}, presets)
    blank = Spec(agent=agent.name, release=release.version, image=release.image, limits=agent.limits, sleep=sleep)
    return changed_spec(blank, agent, release, patch, domain=domain, presets=presets, plans=plans)


def changed_spec(
    spec: Spec,
    agent: Agent,
    release: Release,
    patch: SpecPatch,
    *,
    domain: str,
    presets: Presets = PRESETS,
    plans: Collection[str] = (),
) -> Spec:
    """`spec` with the patch over it, checked as a whole; raises InvalidSpec and ReleaseTooOld."""
    if agent.minimum_version and version_key(release.version) < version_key(agent.minimum_version):
        raise ReleaseTooOld(
            f"{agent.name} {release.version} is older than {agent.minimum_version}, the oldest that is safe to host.",
            field="release",
            hint=f"Build a newer one with `innkeeper image build {agent.name}`.",
        )
    check_plan(patch.uses, plans)
    asked = patch.limits or LimitsPatch()
    changed = replace(
        spec,
        release=release.version,
        image=release.image,
        mode=patch.mode or spec.mode,
        limits=Limits(
            memory_mb=_or(asked.memory_mb, spec.limits.memory_mb),
            cpus=_or(asked.cpus, spec.limits.cpus),
            pids=_or(asked.pids, spec.limits.pids),
            memory_reserve_mb=_or(asked.memory_reserve_mb, spec.limits.memory_reserve_mb) or None,
            cpus_reserve=_or(asked.cpus_reserve, spec.limits.cpus_reserve) or None,
        ),
        sleep=changed_policy(spec.sleep, patch.sleep or {}, presets),
        env=dict(_or(patch.env, spec.env)),
        hostnames=tuple(dict.fromkeys(map(canonical_host, _or(patch.hostnames, spec.hostnames)))),
        access=patch.access or spec.access,
        custom=_custom(spec, patch),
        public_paths=checked_public_paths(_or(patch.public_paths, spec.public_paths)),
        inbox=checked_inbox(_or(patch.inbox, spec.inbox)),
        config=checked_config(_or(patch.config, spec.config), agent.keeps_secret),
        uses=changed_uses(spec.uses, patch.uses or {}),
        packs=spec.packs if patch.packs is None else checked_packs(patch.packs),
    )
    if patch.config is not None:
        agent.check_config(changed.config)
    _check_limits(changed.limits, agent)
    _check_env(changed.env)
    _check_hostnames(changed.hostnames, domain)
    _check_custom(changed)
    return changed


def same_instance(before: Spec, after: Spec) -> bool:
    """Whether an instance made from the one serves the other as it is: what changed concerns us alone.

    What becomes of missed runs stands in the agent's own config, and so does whose login decides. Which tools it has
    an agent asks when it starts.
    """
    if _tools(before) != _tools(after):
        return False
    if before.sleep.missed_runs is not after.sleep.missed_runs:
        return False
    if (before.access is Access.OPEN) is not (after.access is Access.OPEN):
        return False
    ours = {name: getattr(after, name) for name in _OURS_ALONE}
    return replace(before, **ours) == after


def _tools(spec: Spec) -> Mapping[str, object]:
    """What of a spec decides which tools there are."""
    return {
        name: each if isinstance(each, str) else (each.url, each.allow, each.deny)
        for name, each in spec.uses.mcp.items()
    }


def canonical_host(host: str) -> str:
    """A host name as it is compared: lower case, no trailing dot."""
    return host.strip().lower().removesuffix(".")


def _custom(spec: Spec, patch: SpecPatch) -> CustomAgent | None:
    told = patch.custom or spec.custom
    return replace(told, image=patch.image) if told is not None and patch.image is not None else told


T = TypeVar("T")


def _or(asked: T | None, kept: T) -> T:
    return kept if asked is None else asked


def _check_limits(limits: Limits, agent: Agent) -> None:
    if not agent.floor_mb <= limits.memory_mb <= MEMORY_MAX_MB:
        raise InvalidSpec(
            f"{limits.memory_mb} MB of memory won't do for {agent.name}.",
            field="limits.memory_mb",
            hint=f"Give it {agent.floor_mb} to {MEMORY_MAX_MB} MB; {agent.limits.memory_mb} MB is a good start.",
        )
    if not CPUS_MIN <= limits.cpus <= CPUS_MAX:
        raise InvalidSpec(
            f"{limits.cpus} CPUs can't be given.",
            field="limits.cpus",
            hint=f"Give {CPUS_MIN} to {CPUS_MAX:.0f}; {agent.limits.cpus} is the default.",
        )
    if not PIDS_MIN <= limits.pids <= PIDS_MAX:
        raise InvalidSpec(
            f"A limit of {limits.pids} processes can't be set.",
            field="limits.pids",
            hint=f"Give {PIDS_MIN} to {PIDS_MAX}; {agent.limits.pids} is the default.",
        )
    _check_reserves(limits)


def _check_reserves(limits: Limits) -> None:
    memory_mb, cpus = limits.memory_reserve_mb, limits.cpus_reserve
    if memory_mb is not None and not 0 < memory_mb <= limits.memory_mb:
        raise InvalidSpec(
            f"{memory_mb} MB of memory can't be reserved.",
            field="limits.memory_reserve_mb",
            hint=f"Reserve up to its limit, {limits.memory_mb} MB, or 0 for nothing.",
        )
    if cpus is not None and not CPUS_RESERVE_MIN <= cpus <= limits.cpus:
        raise InvalidSpec(
            f"{cpus} CPUs can't be reserved.",
            field="limits.cpus_reserve",
            hint=f"Reserve {CPUS_RESERVE_MIN} up to its limit, {limits.cpus}, or 0 for nothing.",
        )


def _check_env(env: Mapping[str, str]) -> None:
    if len(env) > ENV_MAX or sum(len(k) + len(v) for k, v in env.items()) > ENV_BYTES_MAX:
        raise InvalidSpec(
            "That is too much environment.",
            field="env",
            hint=f"At most {ENV_MAX} variables and {ENV_BYTES_MAX // 1024} KiB in all; put the rest in files.",
        )
    for name, value in env.items():
        if not _ENV_NAME.fullmatch(name) or name.upper().startswith(_RESERVED_ENV):
            raise InvalidSpec(
                f"{name[:60]!r} can't be an environment variable's name.",
                field="env",
                hint=f"Letters, digits and '_'; names beginning with {', '.join(_RESERVED_ENV)} are reserved.",
            )
        if "\0" in value or "\n" in value or "\r" in value:
            raise InvalidSpec(f"The value of {name} has a line break or NUL in it.", field="env")
        if MARK in value:
            raise InvalidSpec(
                f"{name} refers to a secret, and environment is no place for one: whoever asks the runtime sees it.",
                field="env",
                hint="Let the broker put it on (`uses`), or where an agent has to hold it, refer to it in `config`.",
            )


def _check_hostnames(hostnames: tuple[str, ...], domain: str) -> None:
    if len(hostnames) > HOSTNAMES_MAX:
        raise InvalidSpec(
            f"{len(hostnames)} hostnames are too many.", field="hostnames", hint=f"At most {HOSTNAMES_MAX}."
        )
    for host in hostnames:
        if not _is_host(host):
            raise InvalidSpec(f"{host[:80]!r} isn't a host name.", field="hostnames", hint="Like `chat.example.com`.")
        if host == domain or host.endswith(f".{domain}"):
            raise InvalidSpec(
                f"{host} lies under {domain}, where every tenant has its name already.",
                field="hostnames",
                hint="Custom hostnames are for other domains.",
            )


def _is_host(host: str) -> bool:
    labels = host.split(".")
    if len(host) > 253 or len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return not labels[-1].isdigit()
    return False


def _check_custom(spec: Spec) -> None:
    custom = spec.custom
    if (spec.agent == "custom") != (custom is not None):
        raise InvalidSpec(
            "`custom` goes with the agent `custom`, and only with it.",
            field="custom",
            hint='Like {"image": "my-agent:1", "port": 8080, "health_path": "/health"}.',
        )
    if custom is None:
        return
    if not 0 < custom.port < 65536:
        raise InvalidSpec(f"{custom.port} isn't a port.", field="custom.port")
    if not re.fullmatch(r"/[!-~]*", custom.health_path) or len(custom.health_path) > 200:
        raise InvalidSpec("The health path must be a path like `/health`.", field="custom.health_path")
    if not re.fullmatch(r"/[A-Za-z0-9._/-]+", custom.mount) or ".." in custom.mount or _is_system_path(custom.mount):
        raise InvalidSpec(
            f"Data can't be mounted at {custom.mount[:80]!r}.", field="custom.mount", hint="Use `/data` or the like."
        )
    if any("\0" in part for part in custom.command):
        raise InvalidSpec("The command has a NUL in it.", field="custom.command")


def _is_system_path(path: str) -> bool:
    top = path.strip("/").split("/")[0]
    return top in {"proc", "sys", "dev", "etc", "bin", "sbin", "lib", "lib64", "usr", "boot", "tmp", "run"}
