"""The use cases of packs: a version is added once, never changes, and goes when nobody gets it any more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from innkeeper.core.access import Actor
from innkeeper.core.audit import entry
from innkeeper.core.pack_errors import PackExists, PackInUse, UnknownPack
from innkeeper.core.packs import Pack, PackRelease, Reference, chosen, newest_first, reference
from innkeeper.core.plans import Plans
from innkeeper.core.ports import Clock, Store, Transaction
from innkeeper.core.ports.packs import PackLibrary
from innkeeper.core.tenant import Tenant

PerAgent = Mapping[str, Sequence[str]]
PacksOf = Callable[[Tenant], Sequence[Reference]]
"""The packs that a tenant is to have, in their order."""


class PackReleases:
    """The packs that there are."""

    def __init__(
        self, *, store: Store, library: PackLibrary, clock: Clock, of: PacksOf, plans: Plans, per_agent: PerAgent
    ) -> None:
        self._store = store
        self._library = library
        self._clock = clock
        self._of = of
        self._settled = [*(each.packs for each in plans.values()), *per_agent.values()]

    async def add(self, tar: AsyncIterator[bytes], *, actor: Actor) -> PackRelease:
        """Take a tarball in as a new version; the same one again is fine, and mends what is damaged.

        Raises InvalidPack, TooLarge, PackExists, DiskFull.
        """
        async with self._library.taken(tar) as taken:
            pack = taken.pack
            async with self._store.begin() as tx:
                known = await tx.packs.all(pack.name)
                there = next((each for each in known if each.version == pack.version), None)
                if there is not None and there.digest != pack.digest:
                    raise PackExists(f"There is a {pack.name} {pack.version} already, and it holds something else.")
                release = there or self._release(pack, actor)
                if there is None:
                    await tx.packs.add(release)
                    detail = {"pack": pack.name, "version": pack.version, "digest": pack.digest}
                    await tx.audit(entry(actor, "pack.add", at=self._clock.now(), detail=detail))
                await taken.settle()  # a rename, in turn with whoever else adds the same
        return release

    async def all(self) -> Sequence[PackRelease]:
        """By name, the newest version first."""
        async with self._store.look() as tx:
            return newest_first(await tx.packs.all())

    async def delete(self, name: str, version: str, *, actor: Actor) -> None:
        """Away with a version; PackInUse where somebody gets it. Who was delivered it keeps what they have."""
        async with self._store.begin() as tx:
            releases = await tx.packs.all(name)
            going = next((each for each in releases if each.version == version), None)
            if going is None:
                raise UnknownPack(f"There is no pack {name[:60]!r} of version {version[:70]!r}.")
            for who, references in await self._users(tx):
                if any(each.name == name and chosen(each, releases) == going for each in references):
                    raise PackInUse(f"{name} {version} is what {who} gets.")
            await tx.packs.drop(name, version)
            detail = {"pack": name, "version": version}
            await tx.audit(entry(actor, "pack.delete", at=self._clock.now(), detail=detail))
        await self._library.drop(name, version)

    async def _users(self, tx: Transaction) -> list[tuple[str, Sequence[Reference]]]:
        tenants = [(tenant.name, self._of(tenant)) for tenant in await tx.tenants()]
        return [("a plan or an agent", [reference(text) for text in each]) for each in self._settled] + tenants

    def _release(self, pack: Pack, actor: Actor) -> PackRelease:
        return PackRelease(
            name=pack.name,
            version=pack.version,
            title=pack.title,
            digest=pack.digest,
            files=len(pack.files),
            size=pack.size,
            added_at=self._clock.now(),
            added_by=actor.id,
        )


async def check_packs(tx: Transaction, packs: Sequence[str] | None) -> None:
    """Raise UnknownPack where a tenant is to get one that there isn't."""
    for each in map(reference, packs or ()):
        if each.image_path is None and chosen(each, await tx.packs.all(each.name)) is None:
            raise UnknownPack(f"There is no pack {str(each)!r}.", field="packs")
