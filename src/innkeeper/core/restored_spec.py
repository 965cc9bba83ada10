"""How a tenant is to be once a snapshot of it is restored: its release has to be here still, and nobody gets by it what
was taken away from them since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from innkeeper.core.egress import check_enforceable
from innkeeper.core.errors import ImageMissing, ReleaseTooOld, UnknownAgent
from innkeeper.core.manifest import Manifest
from innkeeper.core.ports import Agent, Runtime, Store, Transaction
from innkeeper.core.references import references
from innkeeper.core.release import version_key
from innkeeper.core.secret_errors import SecretMissing
from innkeeper.core.tenant import Spec


@dataclass(frozen=True, kw_only=True)
class Restored:
    """The spec, and what couldn't come back of it."""

    spec: Spec
    hostnames_taken: tuple[str, ...] = ()


class RestoredSpecs:
    """Says how a restored tenant is to be; changes nothing."""

    def __init__(self, *, store: Store, runtime: Runtime, agents: Mapping[str, Agent]) -> None:
        self._store = store
        self._runtime = runtime
        self._agents = agents

    def agent(self, spec: Spec) -> Agent:
        """Its adapter; UnknownAgent where this version has none of that name."""
        agent = self._agents.get(spec.agent)
        if agent is None:
            raise UnknownAgent(
                f"The snapshot is of the agent {spec.agent!r}, which this control plane doesn't know.",
                hint="Restore it with the version of Innkeeper that made it.",
            )
        return agent

    async def of(self, manifest: Manifest, *, now: Spec | None, whole: bool) -> Spec:
        """The snapshot's spec; where it isn't to come back as a whole, that of `now` with the snapshot's release.

        The data was written by that release, and no agent promises to read what a later one has written. Raises
        UnknownAgent, ReleaseTooOld, ImageMissing, EgressNotEnforceable.
        """
        then = manifest.spec
        agent = self.agent(then)
        spec = then
        if now is not None and not whole:
            spec = replace(now, agent=then.agent, release=then.release, image=then.image, custom=then.custom)
        if agent.minimum_version and version_key(spec.release) < version_key(agent.minimum_version):
            raise ReleaseTooOld(
                f"The snapshot is of {agent.name} {spec.release}, which is older than {agent.minimum_version}, the "
                "oldest that is safe to host.",
                hint="Take single paths out of it with `--path`.",
            )
        if now is None or whole:
            check_enforceable(spec.uses, self._runtime.ways_out.why_not)
        return replace(spec, image=await self._image(spec))

    async def _image(self, spec: Spec) -> str:
        """The very image, else the one that is this release here: another host has built it for itself."""
        if await self._runtime.resolve_image(spec.image) is not None:
            return spec.image
        if spec.custom is not None:
            if (found := await self._runtime.resolve_image(spec.custom.image)) is not None:
                return found
            raise ImageMissing(
                f"There is no image {spec.custom.image[:120]!r} on this host, which the snapshot's agent runs.",
                hint="Build, load or pull it first. Nothing was changed.",
            )
        async with self._store.look() as tx:
            built = [each for each in await tx.releases(spec.agent) if each.version == spec.release]
        for release in built:
            if await self._runtime.resolve_image(release.image) is not None:
                return release.image
        raise ImageMissing(
            f"The snapshot is of {spec.agent} {spec.release}, whose image isn't on this host.",
            hint=f"Build it with `innkeeper image build {spec.agent} --version {spec.release}`, then restore again. "
            "Nothing was changed.",
        )


async def with_free_hostnames(tx: Transaction, name: str, spec: Spec) -> Restored:
    """Without the hostnames that somebody else has by now."""
    taken = [each for each in spec.hostnames if await tx.hostname_owner(each) not in (None, name)]
    free = tuple(each for each in spec.hostnames if each not in taken)
    return Restored(spec=replace(spec, hostnames=free), hostnames_taken=tuple(taken))


def check_referred(spec: Spec, secrets: set[str]) -> None:
    """Raise SecretMissing where its config needs a secret that it won't have."""
    if lacking := sorted(set(references(spec.config)) - secrets):
        raise SecretMissing(
            f"The snapshot's config refers to {', '.join(lacking[:5])}, and there is no such secret any more.",
            hint="Set it with `innkeeper secret set`, then restore again. Nothing was changed.",
        )
