"""The part of the composition root that has to do with sleep: what the dormitory is told of this host."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from datetime import timedelta
from ipaddress import IPv4Network

from innkeeper.broker.residents import Residents
from innkeeper.core.activate import Activator
from innkeeper.core.control import Control
from innkeeper.core.directory import Directory
from innkeeper.core.events import Bus
from innkeeper.core.ports import Clock, HostMemory, Prober, Runtime
from innkeeper.core.rungs import Rungs
from innkeeper.core.seating import Seating
from innkeeper.host.wire import Wire
from innkeeper.loops.dormitory import Dormitory, SleepSettings, Surroundings
from innkeeper.loops.queue import KeyedQueue
from innkeeper.runtimes.addressing import NETWORK_BITS
from innkeeper.settings import Settings


def dormitory(
    settings: Settings,
    *,
    directory: Directory,
    control: Control,
    rungs: Rungs,
    activator: Activator,
    runtime: Runtime,
    seating: Seating,
    prober: Prober,
    residents: Residents,
    memory: HostMemory,
    queue: KeyedQueue,
    bus: Bus,
    clock: Clock,
    calling: Callable[[], Collection[str]],
) -> Dormitory:
    """Put it together; `calling` tells who has something under way that a freeze would break off."""
    cores = os.cpu_count() or 1
    networks = _networks(residents)
    return Dormitory(
        Surroundings(
            directory=directory,
            rungs=rungs,
            offer=control.offer,
            activator=activator,
            runtime=runtime,
            seating=seating,
            prober=prober,
            movements=Wire(networks=networks, quiet_bytes_per_s=settings.quiet_bytes_per_s),
            memory=memory,
            queue=queue,
            bus=bus,
            clock=clock,
            at_address=residents.name_at,
            calling=calling,
            listens_to=seating.listens_to,
        ),
        SleepSettings(
            sweep_s=settings.sweep_s,
            starts_at_once=settings.starts_at_once or cores,
            boost_cpus=settings.boost_cpus or cores,
            reserve_mb=settings.memory_reserve_mb,
            trim_after=timedelta(seconds=settings.trim_after_s) if settings.trim else None,
        ),
    )


def _networks(residents: Residents) -> Callable[[], list[IPv4Network]]:
    """Those of the tenants that stand at the moment."""
    return lambda: [IPv4Network(f"{each}/{NETWORK_BITS}", strict=False) for each in residents.gateways]
