"""Hydration: a tenant's workspace is filled from packs at first, and follows their new versions from then on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from innkeeper.core.access import SYSTEM
from innkeeper.core.audit import entry
from innkeeper.core.boarding import NotYet
from innkeeper.core.delivery import Delivery, Dispute, Received
from innkeeper.core.errors import Invalid, Problem, StoreUnavailable, UnknownTenant
from innkeeper.core.events import AlertRaised, Bus
from innkeeper.core.goods import Goods
from innkeeper.core.merging import Act, Item
from innkeeper.core.operations import Operation, OperationKind
from innkeeper.core.pack_errors import PackDamaged, PackMissing, UnknownPack
from innkeeper.core.pack_releases import PacksOf, PerAgent
from innkeeper.core.packs import Pack, PackRelease, Reference, chosen, reference, united
from innkeeper.core.plans import Plans
from innkeeper.core.ports import Agent, Clock, Store
from innkeeper.core.ports.packs import Delivered, ImageFolders, PackLibrary, Workspaces
from innkeeper.core.tenant import Tenant
from innkeeper.core.works import Tell

TOLD_MAX = 500
"""So many files of a delivery are told one by one; what is as it was is only counted."""
CLOSED_AGAIN_S = 10.0
_QUIET = frozenset({Act.SAME, Act.KEEP, Act.GONE, Act.LEFT_DELETED})


def packs_of(plans: Plans, per_agent: PerAgent) -> PacksOf:
    """From a tenant to its packs: its agent's, then its plan's, then its own, of which the last version counts."""

    def of(tenant: Tenant) -> Sequence[Reference]:
        plan = plans.get(tenant.spec.uses.plan or "")
        lists = (per_agent.get(tenant.spec.agent, ()), plan.packs if plan else (), tenant.spec.packs)
        return united(*([reference(text) for text in each] for each in lists))

    return of


@dataclass(frozen=True, kw_only=True)
class PackStanding:
    """One pack of a tenant's: what it is to have, and what it has."""

    name: str
    wanted: str | None
    """The version; None: it isn't to have it any more, or there is none."""
    received: Received | None


@dataclass(frozen=True, kw_only=True)
class UnitStanding:
    """What a tenant was delivered, what is to come, and what is to be settled."""

    tenant: Tenant
    packs: Sequence[PackStanding]
    conflicts: Mapping[str, Dispute]


class Hydration:
    """Fills workspaces and keeps them current; the work of the kind HYDRATE."""

    kind = OperationKind.HYDRATE

    def __init__(
        self,
        *,
        store: Store,
        library: PackLibrary,
        images: ImageFolders,
        workspaces: Workspaces,
        agents: Mapping[str, Agent],
        of: PacksOf,
        bus: Bus,
        clock: Clock,
        auto: bool = True,
    ) -> None:
        self._store = store
        self._library = library
        self._images = images
        self._workspaces = workspaces
        self._agents = agents
        self._of = of
        self._bus = bus
        self._clock = clock
        self.auto = auto

    # --- at a start ---------------------------------------------------------------------------------------------------

    async def at_start(self, tenant: Tenant) -> None:
        """Fill an empty workspace, or deliver new versions.

        A first start without what the agent is to know raises the Problem; a later one goes on without the new version,
        and an alert says so.
        """
        references = self._of(tenant)
        if not references or tenant.spec.agent not in self._agents:
            return
        blank = await self._is_blank(tenant)
        if not blank and not self.auto:
            return
        try:
            await self._bring_up_to_date(tenant, references)
        except StoreUnavailable:
            raise
        except Problem as problem:
            if blank:
                raise
            says = f"New versions of its packs couldn't be delivered: {problem.message}"
            self._bus.publish(AlertRaised(tenant=tenant.name, code="hydration.failed", says=says))

    async def _is_blank(self, tenant: Tenant) -> bool:
        return await self._workspaces.is_blank(tenant.name, self._agents[tenant.spec.agent].workspace)

    async def _bring_up_to_date(self, tenant: Tenant, references: Sequence[Reference]) -> None:
        before = await self._workspaces.delivery(tenant.name)
        goods = await self._goods(tenant, references)
        if goods.are(before.packs):
            return
        done = await self._workspaces.deliver(tenant.name, goods, at=self._clock.now())
        detail = {"packs": [f"{pack.name}@{pack.version}" for pack in goods.packs], **_counts(done.items)}
        async with self._store.begin() as tx:
            await tx.audit(entry(SYSTEM, "tenant.hydrated", at=self._clock.now(), of=tenant, detail=detail))

    # --- when somebody asks -------------------------------------------------------------------------------------------

    async def carry_out(self, operation: Operation, tell: Tell) -> Mapping[str, Any]:
        """Deliver now, or with `dry_run` say what would be done; `packs` are those that are meant, else all."""
        asked = operation.detail
        async with self._store.look() as tx:
            tenant = await tx.tenant(operation.tenant)
        if tenant is None:
            raise UnknownTenant(f"There is no tenant {operation.tenant!r}.")
        if tenant.closed is not None:
            raise NotYet("its folder is being worked on", again_s=CLOSED_AGAIN_S)
        tell.step("looking at its packs")
        named = [reference(text) for text in asked.get("packs") or ()]
        goods = await self._goods(tenant, await self._meant(tenant, named))
        force, dry_run = bool(asked.get("force")), bool(asked.get("dry_run"))
        if dry_run:
            done = Delivered(items=await self._workspaces.plan(tenant.name, goods, force=force))
        else:
            tell.step("delivering", 1, 2)
            done = await self._workspaces.deliver(tenant.name, goods, at=self._clock.now(), force=force)
        return _told(goods, done, dry_run=dry_run)

    async def _meant(self, tenant: Tenant, named: Sequence[Reference]) -> Sequence[Reference]:
        """All of its packs; or those that are named, and the others in the versions that it has."""
        its = self._of(tenant)
        if not its and not named:
            raise Invalid(
                f"{tenant.name} has no packs.",
                hint=f"Give it one: `innkeeper tenant update {tenant.name} --pack NAME`, or name it here.",
            )
        if not named:
            return its
        has = (await self._workspaces.delivery(tenant.name)).packs
        async with self._store.look() as tx:
            releases = await tx.packs.all()
        as_they_are = [Reference(each.name, has[each.name].version) for each in its if each.name in has]
        # A version that was deleted since can't be laid below the others; what it brought stays as it is.
        as_they_are = [each for each in as_they_are if _version(each, tenant, releases) == each.version]
        by_name = {each.name: each for each in named}
        meant = [by_name.pop(each.name, each) for each in as_they_are]
        return united(meant, by_name.values())

    async def standing(self, name: str) -> UnitStanding:
        """What the tenant has and is to have; raises UnknownTenant, HydrationUnreadable."""
        async with self._store.look() as tx:
            tenant = await tx.tenant(name)
            releases = await tx.packs.all()
        if tenant is None:
            raise UnknownTenant(f"There is no tenant {name[:60]!r}.")
        delivery = await self._workspaces.delivery(name)
        wanted = {each.name: _version(each, tenant, releases) for each in self._of(tenant)}
        standings = [
            PackStanding(name=each, wanted=wanted.get(each), received=delivery.packs.get(each))
            for each in [*wanted, *(each for each in delivery.packs if each not in wanted)]
        ]
        return UnitStanding(tenant=tenant, packs=standings, conflicts=delivery.conflicts)

    async def delivery(self, name: str) -> Delivery:
        """What a tenant was delivered, for whoever takes its folder elsewhere."""
        return await self._workspaces.delivery(name)

    # --- finding packs ------------------------------------------------------------------------------------------------

    async def _goods(self, tenant: Tenant, references: Sequence[Reference]) -> Goods:
        async with self._store.look() as tx:
            releases = await tx.packs.all()
        packs = [await self._pack(each, tenant, releases) for each in references]
        return Goods(packs=packs, workspace=self._agents[tenant.spec.agent].workspace)

    async def _pack(self, wanted: Reference, tenant: Tenant, releases: Sequence[PackRelease]) -> Pack:
        version = _version(wanted, tenant, releases)
        if version is None:
            raise UnknownPack(f"There is no pack {str(wanted)!r}.")
        if (path := wanted.image_path) is not None:
            return await self._of_image(wanted.name, version, tenant.spec.image, path)
        pack = await self._library.pack(wanted.name, version)
        release = next(each for each in releases if (each.name, each.version) == (wanted.name, version))
        if pack.digest != release.digest:
            raise PackDamaged(f"The pack {wanted.name} {version} isn't what was added.")
        return pack

    async def _of_image(self, name: str, version: str, image: str, path: str) -> Pack:
        """Read out of the image once, and kept."""
        try:
            return await self._library.pack(name, version)
        except (PackMissing, PackDamaged):
            known = {"name": name, "version": version}
            async with self._images.folder(image, path) as tar, self._library.taken(tar, known=known) as taken:
                await taken.settle()
                return taken.pack


def _version(wanted: Reference, tenant: Tenant, releases: Sequence[PackRelease]) -> str | None:
    if wanted.image_path is not None:
        return tenant.spec.image.rpartition(":")[2][:32] or None
    found = chosen(wanted, releases)
    return found.version if found else None


def _counts(items: Sequence[Item]) -> dict[str, int]:
    return dict(Counter(item.act.value for item in items))


def _told(goods: Goods, done: Delivered, *, dry_run: bool) -> dict[str, Any]:
    moved = [item for item in done.items if item.act not in _QUIET]
    return {
        "dry_run": dry_run,
        "packs": [{"name": pack.name, "version": pack.version} for pack in goods.packs],
        "counts": _counts(done.items),
        "files": [
            {
                "path": item.path,
                "act": item.act.value,
                "pack": item.pack,
                "here": item.here.odd or None,
                "beside": done.besides.get(item.path),
                "saved": done.saved.get(item.path),
            }
            for item in moved[:TOLD_MAX]
        ],
        "left_out": max(0, len(moved) - TOLD_MAX),
    }
