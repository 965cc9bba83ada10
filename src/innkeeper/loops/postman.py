"""The postman: delivers what waits in the inboxes, in order on each path, and side by side for everybody.

An attempt is written down before it is sent and again when it is answered. Whoever dies in between has left the courier
at work: the next one looks up in its record how that ended, before it goes on with that lane.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta
from enum import StrEnum

import structlog

from innkeeper.core.activate import Activator, is_open
from innkeeper.core.deliveries import Deliveries
from innkeeper.core.directory import Directory
from innkeeper.core.errors import Problem, TenantAsleep, TenantFailed, UnknownTenant
from innkeeper.core.events import Bus, Event, StateChanged, TenantChanged, TenantGone
from innkeeper.core.ids import new_id
from innkeeper.core.messages import Lane, Message, MessageState, Payload
from innkeeper.core.ports import Afterwards, Clock, Courier, Parcel
from innkeeper.core.tenant import Tenant
from innkeeper.loops.places import Places
from innkeeper.loops.queue import KeyedQueue
from innkeeper.loops.supervise import Supervisor

log = structlog.get_logger("innkeeper.postman")

LOOK_EVERY_S = 30.0
"""How often all lanes are looked at though nobody called: another control plane may have accepted something."""
NOT_UP_S = 300.0
"""How soon to ask again for a tenant that isn't to be woken; a change of it is told at once."""
OTHERS_AFTER = timedelta(minutes=15)
"""After so long an attempt of another installation is over, whether that still lives or not."""
WRITE_AGAIN_S = (0.2, 15.0)
"""First and longest pause before an answer is written down again that the store didn't take."""


class Delivered(StrEnum):
    """How an attempt ended, for the metrics."""

    DELIVERED = "delivered"
    RETRIED = "retried"
    DEAD = "dead"


class Postman:
    """Goes from lane to lane."""

    def __init__(
        self,
        *,
        deliveries: Deliveries,
        courier: Courier,
        directory: Directory,
        activator: Activator,
        address: Callable[[Tenant, int | None], Awaitable[str]],
        bus: Bus,
        clock: Clock,
        places: int,
        wake_within_s: float,
        count: Callable[[Delivered], object] = lambda _: None,
    ) -> None:
        self._deliveries = deliveries
        self._courier = courier
        self._directory = directory
        self._activator = activator
        self._address = address
        self._clock = clock
        self._places = Places(places)
        self._wake_within_s = wake_within_s
        self._count = count
        self._queue = KeyedQueue()
        self._paths: dict[str, set[str]] = {}
        self._left: Counter[str] = Counter()
        """By tenant, what a control plane that died has left under way."""
        bus.on_event(self._follow)

    @property
    def tenants(self) -> Collection[str]:
        """Those to whom something is being delivered, by us or still by order of who died. Whoever were put to sleep
        meanwhile would have it in the end, though nobody waited for the answer: it would be sent once more."""
        return {*self._places.tenants, *self._left}

    def start(self, supervisor: Supervisor) -> None:
        """Hand the loop to the supervisor."""
        supervisor.add("postman", self._run)

    def call(self, lane: Lane) -> None:
        """Something waits in this lane. One that is napping, because its head was refused just now, naps on."""
        self._paths.setdefault(lane.tenant, set()).add(lane.path)
        self._queue.add_later(_key(lane), 0)

    def _follow(self, event: Event) -> None:
        """Who has come up is looked at now."""
        match event:
            case TenantGone(tenant=name):
                self._paths.pop(name, None)
            case StateChanged(tenant=name, now=tenant) | TenantChanged(tenant=name, now=tenant):
                if name in self._paths and (is_open(tenant) or not tenant.seen.ready):
                    for path in self._paths[name]:
                        self._queue.add(_key(Lane(name, path)))
            case _:
                pass

    async def _run(self) -> None:
        left = [each for each in await self._deliveries.under_way() if self._is_ours(each)]
        self._left = Counter(each.tenant for each in left)
        afterwards = await self._courier.look_back()  # before anything new is under way
        async with asyncio.TaskGroup() as group:
            for message in left:
                group.create_task(self._resolve(message, afterwards), name=f"resolve:{message.id}")
            group.create_task(self._look_forever(), name="postman:look")
            while True:
                key = await self._queue.get()
                group.create_task(self._serve(key), name=f"lane:{key}")

    async def _look_forever(self) -> None:
        while True:
            try:
                await self.look()
            except Problem as problem:
                log.warning("inboxes not looked at", code=problem.code, problem=problem.message)
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Call for every lane in which something waits; and for what another installation has left behind."""
        for message in await self._deliveries.under_way():
            began = message.attempt_at
            if not self._is_ours(message) and began is not None and self._clock.now() - began > OTHERS_AFTER:
                await self._deliveries.undo(message)
        for lane in await self._deliveries.lanes():
            self.call(lane)

    def _is_ours(self, message: Message) -> bool:
        return message.attempt is not None and message.attempt.startswith(f"{self._courier.name}.")

    async def _resolve(self, message: Message, afterwards: Afterwards) -> None:
        """Go on with a message that was under way when its control plane died."""
        try:
            await self._look_up(message, afterwards)
        finally:
            self._left -= Counter([message.tenant])
        self.call(message.lane)

    async def _look_up(self, message: Message, afterwards: Afterwards) -> None:
        status = await afterwards.ended(message.attempt or "")
        log.info("looked up", tenant=message.tenant, message=message.id, status=status)
        await self._write_down(message, status)

    async def _serve(self, key: str) -> None:
        """One turn of a lane; then it stands behind all others."""
        lane = Lane(*key.split(" ", 1))
        try:
            pause_s = await self._turn(lane)
        except Problem as problem:
            again_s = self._queue.failed(key)
            log.info("lane held up", tenant=lane.tenant, path=lane.path, code=problem.code, next_try_in_s=again_s)
        except Exception:  # whatever it is, it mustn't hold up the others
            self._queue.failed(key)
            log.exception("lane fell", tenant=lane.tenant, path=lane.path)
        except asyncio.CancelledError:
            self._queue.failed(key)
            raise
        else:
            self._queue.done(key)
            self._rest(lane, key, pause_s)

    def _rest(self, lane: Lane, key: str, pause_s: float | None) -> None:
        if pause_s is None:
            self._paths.get(lane.tenant, set()).discard(lane.path)
            return
        self._paths.setdefault(lane.tenant, set()).add(lane.path)
        if pause_s:
            self._queue.add_later(key, pause_s)
        else:
            self._queue.add(key)

    async def _turn(self, lane: Lane) -> float | None:
        """Deliver the head of the lane; after how long to look again, None: nothing is left."""
        head = await self._deliveries.head(lane)
        if head is None:
            return None
        if head.state is MessageState.DELIVERING:
            return LOOK_EVERY_S  # whoever finds out how that ended, calls
        if (early_s := (head.next_attempt_at - self._clock.now()).total_seconds()) > 0:
            return early_s
        try:
            await self._activator.ready(lane.tenant, deadline_s=self._wake_within_s)
        except (TenantAsleep, TenantFailed):
            return NOT_UP_S
        except UnknownTenant:
            return None
        async with self._places.of(lane.tenant):
            tenant = self._directory.tenant(lane.tenant)
            if tenant is None or not is_open(tenant):
                return 0  # it fell asleep while its turn came
            begun = await self._deliveries.begin(head, f"{self._courier.name}.{new_id('at')}")
            if begun is not None:
                await self._deliver(tenant, *begun)
        return 0

    async def _deliver(self, tenant: Tenant, message: Message, payload: Payload) -> None:
        self._directory.touch(tenant.name, self._clock.now())
        at = tenant.openings.inbox_path(message.path) if tenant.openings else None
        try:
            to = await self._address(tenant, at.port if at else message.port)
            parcel = Parcel(
                attempt=message.attempt or "", message_id=message.id, to=to, path=message.path, payload=payload
            )
            status = await self._courier.deliver(parcel)
        except Problem:
            await self._write_down(message, None)
            raise
        except Exception:
            await self._look_up(message, await self._courier.look_back())
            raise
        await self._write_down(message, status)
        self._directory.touch(tenant.name, self._clock.now())

    async def _write_down(self, message: Message, status: int | None) -> None:
        """Until the store takes it: what was delivered must not be delivered again."""
        pause_s, longest_s = WRITE_AGAIN_S
        while True:
            try:
                if status is None:
                    await self._deliveries.undo(message)
                else:
                    self._tell(await self._deliveries.end(message, status))
            except Problem as problem:
                log.warning("an answer isn't written down yet", message=message.id, code=problem.code)
                await asyncio.sleep(pause_s)
                pause_s = min(longest_s, pause_s * 2)
            else:
                return

    def _tell(self, after: Message) -> None:
        match after.state:
            case MessageState.DELIVERED:
                self._count(Delivered.DELIVERED)
            case MessageState.DEAD:
                self._count(Delivered.DEAD)
                log.warning("dead letter", tenant=after.tenant, message=after.id, why=after.last_error)
            case _:
                self._count(Delivered.RETRIED)


def _key(lane: Lane) -> str:
    return f"{lane.tenant} {lane.path}"  # neither has a space in it
