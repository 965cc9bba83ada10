"""The use cases of releases: what has been built is recorded, what is recorded can be run."""

from __future__ import annotations

from collections.abc import Sequence

from innkeeper.core.access import Actor
from innkeeper.core.audit import entry
from innkeeper.core.errors import ImageMissing, Invalid, RuntimeUnavailable, UnknownRelease
from innkeeper.core.ports import Agent, Clock, Runtime, Store
from innkeeper.core.release import Release, version_key
from innkeeper.core.specs import SpecPatch
from innkeeper.core.tenant import Tenant


class Releases:
    """The versions of agents that tenants can run."""

    def __init__(self, *, store: Store, runtime: Runtime, clock: Clock) -> None:
        self._store = store
        self._runtime = runtime
        self._clock = clock

    async def record(self, *, agent: str, version: str, image: str, source: str, size_mb: int, actor: Actor) -> Release:
        """Take down that `image` is this version; a rebuild replaces what was recorded, running tenants keep theirs."""
        now = self._clock.now()
        release = Release(agent=agent, version=version, image=image, source=source, size_mb=size_mb, created_at=now)
        async with self._store.begin() as tx:
            await tx.put_release(release)
            detail = {"agent": agent, "version": version, "image": image, "source": source}
            await tx.audit(entry(actor, "release.record", at=now, detail=detail))
        return release

    async def all(self, agent: str | None = None) -> Sequence[Release]:
        """By agent, the newest first."""
        async with self._store.look() as tx:
            found = await tx.releases(agent)
        newest_first = sorted(found, key=lambda release: version_key(release.version), reverse=True)
        return sorted(newest_first, key=lambda release: release.agent)

    async def choose(self, agent: Agent, patch: SpecPatch, *, now: Tenant | None = None) -> Release:
        """The release that the patch means: as named, as it is, or the newest."""
        if agent.name == "custom":
            return await self._custom_release(patch, now)
        if patch.image is not None:
            return await self._own_release(agent, patch.image)
        if now is not None and patch.release is None:
            return _as_it_is(now)
        async with self._store.look() as tx:
            known = await tx.releases(agent.name)
        if patch.release is not None:
            known = [release for release in known if release.version == patch.release]
        if not known:
            what = f"{agent.name} {patch.release[:60]}" if patch.release else agent.name
            raise UnknownRelease(
                f"There is no image of {what} yet.",
                field="image" if agent.own_image else "release",
                hint=_BRING_ONE if agent.own_image else None,
            )
        newest = max(known, key=lambda release: version_key(release.version))
        await self._check_image(newest)
        return newest

    async def _check_image(self, release: Release) -> None:
        """Refuse early what can't be started; where the runtime doesn't answer, the reconciler will find out."""
        try:
            there = await self._runtime.resolve_image(release.image)
        except RuntimeUnavailable:
            return
        if there is None:
            raise ImageMissing(
                f"The image of {release.agent} {release.version} isn't on this host any more.",
                hint=f"Build it again with `innkeeper image build {release.agent}`.",
            )

    async def _own_release(self, agent: Agent, image: str) -> Release:
        """What the operator brings; its version is the image's tag, or its whole name where it has none."""
        if not agent.own_image:
            raise Invalid(
                f"The image of {agent.name} is made here.",
                field="image",
                hint=f"Build it with `innkeeper image build {agent.name}`, and choose by `release`.",
            )
        found, at = await self._here(image, field="image"), self._clock.now()
        tag = image.rpartition("/")[2].rpartition(":")
        version = tag[2] if tag[1] and "@" not in image else image
        return Release(agent=agent.name, version=version, image=found, source="operator", size_mb=0, created_at=at)

    async def _here(self, image: str, *, field: str) -> str:
        found = await self._runtime.resolve_image(image)
        if found is None:
            raise ImageMissing(
                f"There is no image {image[:120]!r} on this host.",
                field=field,
                hint="Build, load or pull it first: images are never fetched by themselves.",
            )
        return found

    async def _custom_release(self, patch: SpecPatch, now: Tenant | None) -> Release:
        if patch.custom is None and (patch.image is None or now is None):
            if now is not None:
                return _as_it_is(now)
            raise Invalid("The agent `custom` needs `custom`: an image and a port at least.", field="custom")
        image = patch.image or (patch.custom.image if patch.custom else "")
        found, at = await self._here(image, field="custom.image"), self._clock.now()
        return Release(agent="custom", version=image, image=found, source="operator", size_mb=0, created_at=at)


_BRING_ONE = "It can't be made here: name one that is on this host, with `image` (`--image`)."


def _as_it_is(tenant: Tenant) -> Release:
    spec = tenant.spec
    return Release(
        agent=spec.agent, version=spec.release, image=spec.image, source="", size_mb=0, created_at=tenant.created_at
    )
