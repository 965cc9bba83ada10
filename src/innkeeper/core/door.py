"""The door: who is asking, for which tenant, may they in, and where to?

All answers for a tenant that is awake come from memory.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from innkeeper.core.access import ADMIN, KEY_PREFIX, Action, Actor, allow, digest, same
from innkeeper.core.activate import Activator, is_open
from innkeeper.core.callers import Pass
from innkeeper.core.directory import Directory
from innkeeper.core.errors import UnknownTenant
from innkeeper.core.identities import Identities
from innkeeper.core.identity_errors import TokenRefused
from innkeeper.core.instance import Place
from innkeeper.core.passes import Passes
from innkeeper.core.people import Session
from innkeeper.core.ports import Clock, OutsideTokens, Runtime
from innkeeper.core.seating import Seating
from innkeeper.core.tenant import Access, Tenant, Wanted
from innkeeper.core.tickets import Tickets
from innkeeper.core.waking import Crowded, Position, Usual, WakeStep, Waking, step_of


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """Where a request goes, and which headers it gets on the way."""

    address: str
    """`10.64.0.17:18789`"""
    headers: tuple[tuple[bytes, bytes], ...]
    """Lower-case names; each takes the place of what the client sent."""


class Door:
    """What the gate asks about every request."""

    def __init__(
        self,
        *,
        directory: Directory,
        identities: Identities,
        tickets: Tickets,
        activator: Activator,
        seating: Seating,
        runtime: Runtime,
        clock: Clock,
        admin_digest: str,
        deadline_s: float,
        outside: OutsideTokens | None = None,
        position: Position = lambda _: None,
        usual_s: Usual = lambda _: None,
        crowded: Crowded = lambda _: False,
    ) -> None:
        self._directory = directory
        self._identities = identities
        self._tickets = tickets
        self._passes = Passes(directory=directory, identities=identities, clock=clock)
        self._activator = activator
        self._seating = seating
        self._runtime = runtime
        self._clock = clock
        self._admin_digest = admin_digest
        self._deadline_s = deadline_s
        self._outside = outside
        self._position = position
        self._usual_s = usual_s
        self._crowded = crowded
        self._upstreams: dict[str, tuple[str, int, Upstream]] = {}

    def find(self, host: str) -> Tenant | None:
        """Who answers at `host`: lower case, without port and trailing dot."""
        return self._directory.at_host(host)

    def identify(self, bearer: str) -> Actor | None:
        """Whose credential it is; None: nobody's."""
        found = digest(bearer)
        if (key := self._directory.key(found)) is not None:
            good = key.expires_at is None or key.expires_at > self._clock.now()
            return self._directory.holder(key) if good else None
        if same(found, self._admin_digest):
            return ADMIN
        if (actor := self._identities.by_token(found)) is not None or self._outside is None:
            return actor
        claims = self._outside.known(bearer)
        return self._identities.issued(claims) if claims else None

    def may_be_outside(self, bearer: str) -> bool:
        """Whether `recognise` could tell more of that credential than `identify` does."""
        return self._outside is not None and bearer.count(".") == 2 and not bearer.startswith(KEY_PREFIX)

    async def recognise(self, bearer: str) -> Actor | None:
        """The same, also for the tokens of an outside issuer, whose keys may have to be fetched first."""
        if (actor := self.identify(bearer)) is not None or self._outside is None or not self.may_be_outside(bearer):
            return actor
        try:
            return self._identities.issued(await self._outside.verify(bearer))
        except TokenRefused:
            return None

    def admits(self, actor: Actor | None, tenant: Tenant) -> bool:
        """Whether the request may pass."""
        if tenant.spec.access is Access.OPEN:
            return True
        return actor is not None and allow(actor, Action.ENTER, tenant.name)

    def holder(self, cookie: str, tenant: Tenant) -> tuple[Session, Actor] | None:
        """Who shows the door's cookie; None: nobody whom it lets in any more."""
        return self._tickets.holder(cookie, tenant)

    async def redeem(self, secret: str, tenant: Tenant, *, host: str, knock: str) -> tuple[str, str]:
        """The door's cookie for whoever brings a ticket from the console, and where they wanted to go; TicketRefused,
        and Forbidden for those who aren't the tenant's."""
        cookie, _, path = await self._tickets.redeem(secret, tenant, host=host, known_by=knock)
        return cookie, path

    def still(self, given: Pass) -> bool:
        """Whether what let somebody in would do so again."""
        return self._passes.still(given)

    def upstream(self, tenant: Tenant) -> Upstream | None:
        """Where the tenant answers right now; None: it has to be woken, or isn't known well enough yet."""
        if not is_open(tenant):
            return None
        known = self._upstreams.get(tenant.name)
        if known is None or known[0] != tenant.id or known[1] != tenant.revision:
            return None
        return known[2]

    async def enter(self, tenant: Tenant, *, within_s: float | None = None) -> Upstream:
        """Wake the tenant if need be and wait until it is ready; raises a Problem when it can't be, or not in time.

        In time is `within_s` at most, and else what the tenant's own policy says, or the settings.
        """
        own_s = tenant.spec.sleep.wake_deadline_s
        deadline_s = self._deadline_s if own_s is None else own_s
        if within_s is not None:
            deadline_s = min(within_s, deadline_s)
        ready = await self._activator.ready(tenant.name, deadline_s=deadline_s)
        place = await self._runtime.place(ready.slot)
        upstream = self._upstream(ready, place)
        self._upstreams[ready.name] = (ready.id, ready.revision, upstream)
        self.touched(ready)  # it is used from now on, not from when the wait for it began
        return upstream

    def wake(self, tenant: Tenant) -> None:
        """Have the tenant woken for somebody who doesn't wait here; once, however many ask."""
        self._activator.launch(tenant.name)

    def progress(self, tenant: Tenant) -> Waking:
        """How far the tenant is on its way up. To ask wakes nobody and isn't use; UnknownTenant for one that leaves."""
        if tenant.wanted is Wanted.GONE:
            raise UnknownTenant(f"There is no tenant {tenant.name}.")
        departure = self._activator.departure(tenant.name)
        position = self._position(tenant.name)
        crowded = self._crowded(tenant.name)
        step = step_of(tenant, roused=departure is not None, queued=position is not None, crowded=crowded)
        return Waking(
            step=step,
            position=position if step is WakeStep.TURN else None,
            elapsed_s=asyncio.get_running_loop().time() - departure.at if departure else 0.0,
            usual_s=self._usual_s(departure.tenant or tenant) if departure else None,
        )

    async def address(self, tenant: Tenant, port: int | None) -> str:
        """Where the tenant's agent listens on that port; None: on its main one."""
        place = await self._runtime.place(tenant.slot)
        return f"{place.address}:{port or self._seating.entrance(tenant).port}"

    def touched(self, tenant: Tenant) -> None:
        """Note that somebody uses the tenant."""
        self._directory.touch(tenant.name, self._clock.now())

    def _upstream(self, tenant: Tenant, place: Place) -> Upstream:
        entrance = self._seating.entrance(tenant)
        headers = {name.lower(): value for name, value in entrance.headers.items()}
        if tenant.spec.access is Access.OPEN:
            headers.pop("authorization", None)  # strangers get in as strangers: the agent's own login decides
        return Upstream(
            address=f"{place.address}:{entrance.port}",
            headers=tuple((name.encode(), value.encode()) for name, value in headers.items()),
        )
