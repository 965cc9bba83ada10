"""The composition root: the only module that names concrete adapters."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta

from innkeeper import telemetry
from innkeeper.agents import AGENTS
from innkeeper.api.deps import Inn
from innkeeper.archive import archive_of
from innkeeper.back_office import back_office
from innkeeper.backstage import backstage
from innkeeper.brokerage import brokerage
from innkeeper.concierge import concierge
from innkeeper.core.access import digest
from innkeeper.core.activate import Activator
from innkeeper.core.control import Control
from innkeeper.core.directory import Directory
from innkeeper.core.door import Door
from innkeeper.core.events import Bus, utc_now
from innkeeper.core.ids import new_id
from innkeeper.core.keys import Keys
from innkeeper.core.lookout import Lookout
from innkeeper.core.missing_units import MissingUnits
from innkeeper.core.plans import plans_from
from innkeeper.core.policy import presets_from
from innkeeper.core.ports import Store
from innkeeper.core.reconcile import Reconciler
from innkeeper.core.releases import Releases
from innkeeper.core.revocations import revoked_lately
from innkeeper.core.rungs import Rungs
from innkeeper.core.seating import Seating
from innkeeper.diagnosis import HostSurvey, doctor_host, parts
from innkeeper.doorway import doorway, severed_at
from innkeeper.edge.prober import HttpProber
from innkeeper.front_desk import identity_provider, outside_issuer, reception
from innkeeper.frontage import edge_plan, names_of, watch_of
from innkeeper.grounds import make_runtime as make_runtime
from innkeeper.host import doctor
from innkeeper.host.memory import KernelMemory
from innkeeper.house import House as House
from innkeeper.keyring import admin_token
from innkeeper.loops.housekeeping import Housekeeping
from innkeeper.loops.queue import KeyedQueue
from innkeeper.loops.reconciler import ReconcilerLoops
from innkeeper.loops.waker import Waker
from innkeeper.loops.webhooks import Webhooks
from innkeeper.post_office import post_office
from innkeeper.quarters import dormitory
from innkeeper.settings import Settings
from innkeeper.store.sql import SqlStore
from innkeeper.storeroom import storeroom
from innkeeper.strongroom import open_keyring, strong_room
from innkeeper.units.compose import render_compose
from innkeeper.units.layout import FolderUnits
from innkeeper.way_out import way_out
from innkeeper.workshop import image_maker

MODEL = "default"
"""The name by which tenants ask the broker for whatever model the operator has chosen."""


class SystemClock:
    """The host's clock."""

    def now(self) -> datetime:
        """The time, in UTC."""
        return utc_now()


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[House]:
    """Put a control plane together, open what it needs, and close it again at the end."""
    async with AsyncExitStack() as stack:
        settings.hide_secrets()
        clock, bus = SystemClock(), Bus()
        bus.on_event(telemetry.count_event)
        keyring = await open_keyring(settings)
        admin_digest = digest(admin_token(settings.data))
        store: Store = await SqlStore.open(settings.store_url, links=keyring)
        stack.push_async_callback(store.close)
        strong = await strong_room(store=store, keyring=keyring, bus=bus, clock=clock)
        runtime = make_runtime(settings)
        stack.push_async_callback(runtime.close)
        units = FolderUnits(settings.data / "tenants")
        hosting = settings.hosting
        directory = Directory(store=store, bus=bus, hosting=hosting)
        await directory.load()
        people = await reception(settings, store=store, bus=bus, clock=clock, tokens=keyring, seals=keyring)
        archive = await stack.enter_async_context(archive_of(settings, store, keyring, directory, clock))
        releases = Releases(store=store, runtime=runtime, clock=clock)
        control = Control(
            store=store,
            agents=AGENTS,
            units=units,
            releases=releases,
            bus=bus,
            clock=clock,
            domain=settings.domain,
            presets=presets_from(settings.presets),
            preset=settings.preset,
            plans=plans_from(settings.plans),
            cannot_enforce=runtime.ways_out.why_not,
        )
        packs = await stack.enter_async_context(storeroom(settings, store=store, bus=bus, clock=clock))
        seating = Seating(
            agents=AGENTS,
            runtime=runtime,
            units=units,
            tokens=keyring,
            secrets=strong.vault,
            keys=keyring,
            hosting=hosting,
            compose=render_compose,
            broker_port=settings.broker_port,
            model=MODEL,
            furnish=packs.hydration.at_start,
            check_unit=MissingUnits(store=store, units=units).check,
        )
        holder = new_id(socket.gethostname()[:40] + f"-{os.getpid()}")
        behind = backstage(settings, store=store, runtime=runtime, bus=bus, clock=clock, holder=holder)
        prober = HttpProber()
        stack.push_async_callback(prober.close)
        queue = KeyedQueue()
        rungs = Rungs(store=store, bus=bus)

        async def rouse(name: str) -> None:
            await waker.rouse(name)  # made below: it needs what needs the activator

        activator = Activator(directory=directory, rouse=rouse, hold_limit=settings.hold_limit)
        stack.push_async_callback(activator.close)
        connecting = concierge(settings, store=store, vault=strong.vault, seals=keyring, bus=bus, clock=clock)
        integrations = await stack.enter_async_context(connecting)
        served = brokerage(
            settings,
            store=store,
            directory=directory,
            runtime=runtime,
            tokens=keyring,
            bus=bus,
            clock=clock,
            secrets=strong.vault,
            trail=archive.tool_trail,
            integrations=integrations,
        )
        agency = await stack.enter_async_context(served)
        residents, broker = agency.residents, agency.broker
        watching = way_out(settings, store=store, directory=directory, runtime=runtime, bus=bus, clock=clock)
        watched = await stack.enter_async_context(watching)
        in_force = watched.watch.in_force
        memory = KernelMemory()
        beds = dormitory(
            settings,
            directory=directory,
            control=control,
            rungs=rungs,
            activator=activator,
            runtime=runtime,
            seating=seating,
            prober=prober,
            residents=residents,
            memory=memory,
            queue=queue,
            bus=bus,
            clock=clock,
            calling=lambda: {*broker.tenants, *post.tenants},
        )
        offices = back_office(
            settings,
            behind,
            packs,
            control=control,
            directory=directory,
            runtime=runtime,
            units=units,
            seating=seating,
            keyring=keyring,
            vault=strong.vault,
            beds=beds,
            disconnect=integrations.give_all_back,
            holder=holder,
            hurry=queue.add,
            bus=bus,
            clock=clock,
        )
        office = await stack.enter_async_context(offices)
        reconciler = Reconciler(
            store=store,
            runtime=runtime,
            units=units,
            agents=AGENTS,
            prober=prober,
            seating=seating,
            suspensions=beds.suspensions,
            boarding=beds.boarding,
            erasure=office.leaving.erasure,
            paging=beds.paging,
            bus=bus,
            clock=clock,
            holder=holder,
        )
        waker = Waker(directory=directory, rungs=rungs, reconciler=reconciler, queue=queue)
        provider = await stack.enter_async_context(identity_provider(settings))
        outside = await stack.enter_async_context(outside_issuer(settings))
        door = Door(
            directory=directory,
            identities=people.identities,
            tickets=people.tickets,
            outside=outside,
            activator=activator,
            seating=seating,
            runtime=runtime,
            clock=clock,
            admin_digest=admin_digest,
            deadline_s=settings.wake_deadline_s,
            position=beds.position,
            usual_s=beds.chronicle.wake_s,
            crowded=beds.boarding.crowded,
        )

        post = post_office(
            settings,
            edge_plan(settings),
            store=store,
            seals=keyring,
            directory=directory,
            activator=activator,
            door=door,
            bus=bus,
            clock=clock,
        )
        opened = doorway(
            settings,
            door=door,
            hosting=hosting,
            post=post,
            residents=residents,
            lookout=Lookout(denials=archive.denials, clock=clock),
            bus=bus,
            lately=await revoked_lately(store, clock, severed_at=severed_at(settings)),
        )
        entry = await stack.enter_async_context(opened) if settings.edge else None
        caddy = entry.caddy if entry else None
        inn = Inn(
            control=control,
            keys=Keys(store=store, bus=bus, clock=clock),
            exports=office.moves.exports,
            data_exports=office.moves.data_exports,
            fleet=office.moves.fleet,
            backups=office.kept.backups,
            restores=office.recovered.restores,
            restored_files=office.recovered.files,
            integrations=integrations,
            people=people,
            provider=provider,
            inbox=post.inbox,
            importing=office.importing,
            vault=strong.vault,
            locksmith=strong.locksmith,
            ledger=agency.counting.ledger,
            prices=agency.counting.prices,
            drills=office.hall.drills,
            proofs=office.hall.proofs,
            asked_for=watched.asked_for,
            egress_in_force=in_force,
            records=archive.records,
            receipts=office.leaving.receipts,
            denials=archive.denials,
            releases=releases,
            packs=packs.releases,
            hydration=packs.hydration,
            works=behind.works,
            store=store,
            runtime=runtime,
            door=door,
            directory=directory,
            entrance=seating.entrance,
            hosting=hosting,
            names=names_of(settings, directory),
            tools=agency.toolroom.tools,
            bus=bus,
            dormitory=beds,
            memory=memory,
            clock=clock,
            data=settings.data,
            body_limit=settings.body_limit_mb * 1024 * 1024,
            pack_limit=packs.upload_bytes,
            build_image=image_maker(settings),
            survey=HostSurvey(settings, units),
            doctor=lambda: doctor.run(
                doctor_host(
                    settings,
                    edge_plan(settings),
                    directory,
                    runtime,
                    control.offer.missing,
                    archive.records,
                    in_force,
                    office.snapshots,
                    office.kept.backups,
                )
            ),
            parts=lambda: parts(runtime, caddy, agency.listeners),
        )
        yield House(
            settings=settings,
            inn=inn,
            loops=ReconcilerLoops(
                reconciler=reconciler,
                queue=queue,
                directory=directory,
                store=store,
                runtime=runtime,
                bus=bus,
                clock=clock,
                tick_s=settings.tick_s,
                workers=settings.workers,
                on_lease_lost=telemetry.lease_losses.inc,
                let_lie=rungs.let_lie,
                keep_up=rungs.keep_up,
                on_instances=beds.warmup.adopt,
            ),
            dormitory=beds,
            housekeeping=Housekeeping(
                store=store,
                runtime=runtime,
                directory=directory,
                identities=people.identities,
                bus=bus,
                clock=clock,
                operations_kept=timedelta(hours=settings.operations_kept_h),
                take_pasts=beds.chronicle.take,
                messages_kept=timedelta(days=settings.inbox_kept_days),
                cut_trail=archive.cut,
            ),
            agency=agency,
            queue=queue,
            doorway=entry,
            certificates=watch_of(settings, caddy, directory, bus) if caddy and settings.has_tls else None,
            webhooks=Webhooks(
                store=store,
                directory=directory,
                webhooks=seating.webhooks,
                bus=bus,
                holder=holder,
                look_every_s=settings.sweep_s,
            ),
            post=post,
            way_out=watched,
            backstage=behind,
        )
