"""What is said to an agent around its sleep: may it sleep, when must it be up, and that it may work again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

from innkeeper.core.errors import AgentBusy, InUse
from innkeeper.core.holds import Holds
from innkeeper.core.ladder import MissedRuns, Rung
from innkeeper.core.ports import Clock, Consent, Probe, Prober, Runtime
from innkeeper.core.seating import Seating
from innkeeper.core.tenant import Seen, Tenant

ASKED = "?"
"""Written down before an agent is asked: it may have suspended itself by now, under a name that isn't known yet."""
MADE_UP_AT_MOST = 24
"""Of one job: a day's hourly runs. What was missed for a month isn't worth a month's model calls at once."""
SOON = timedelta(seconds=90)
"""With a run of its own due so soon it isn't worth going to sleep: a start of OpenClaw alone takes up to eleven
seconds, and with its first answer twenty."""


class Suspensions:
    """Speaks with agents on the reconciler's behalf."""

    def __init__(
        self,
        *,
        seating: Seating,
        runtime: Runtime,
        prober: Prober,
        holds: Holds,
        clock: Clock,
        look: Callable[[Tenant], Awaitable[None]] | None = None,
    ) -> None:
        self._seating = seating
        self._runtime = runtime
        self._prober = prober
        self._holds = holds
        self._clock = clock
        self.look = look
        """Looks whether it is in use just now; what was found a second ago may not be true any more."""

    async def next_run(self, tenant: Tenant, *, however_soon: bool = False) -> datetime | None:
        """When it has work to do by itself, for it can't wake by itself; AgentBusy where that is too soon to sleep."""
        agent = self._seating.agent(tenant)
        ask = agent.next_run(tenant.spec, self._seating.gateway_token(tenant))
        if ask is None:
            return None
        answer = await self._ask(tenant, ask)
        if answer is None and however_soon:
            return None
        if answer is None:
            raise self._busy(tenant, "agent", "it doesn't answer")
        at, now = agent.run_at(*answer), self._clock.now()
        if not however_soon and at is not None and now <= at < now + SOON:
            raise self._busy(tenant, "cron", f"its next run is due at {at:%H:%M:%S} UTC")
        self._holds.let_go(tenant.name, "cron")
        return at

    def asked(self, tenant: Tenant, rung: Rung) -> str | None:
        """What is to be written down before it is asked; None where it can't be."""
        agent = self._seating.agent(tenant)
        can_ask = agent.suspend(tenant.spec, self._seating.gateway_token(tenant), Rung.PAUSED) is not None
        return tenant.seen.suspension or f"{rung}:{ASKED}" if can_ask else None

    async def ask(self, tenant: Tenant, rung: Rung) -> Consent:
        """What it says to sleeping on that rung. Whoever can't be asked consents."""
        former = tenant.seen.suspension
        if former is not None and not former.startswith(f"{rung}:"):
            await self.end(tenant)  # it holds one suspension at a time, and that was for another rung
        return await self._consent(tenant, rung)

    async def _consent(self, tenant: Tenant, rung: Rung) -> Consent:
        agent = self._seating.agent(tenant)
        ask = agent.suspend(tenant.spec, self._seating.gateway_token(tenant), rung)
        if ask is None:
            return Consent()
        answer = await self._ask(tenant, ask)
        if answer is None:
            return Consent(objection="it doesn't answer", suspension=f"{rung}:{ASKED}")
        consent = agent.consent(*answer)
        return replace(consent, suspension=consent.suspension and f"{rung}:{consent.suspension}")

    def objects(self, tenant: Tenant, why: str) -> AgentBusy:
        """Its objection, kept and to be raised."""
        return self._busy(tenant, "agent", why)

    def agrees(self, tenant: Tenant) -> None:
        """It doesn't object any more."""
        self._holds.let_go(tenant.name, "agent")

    async def check_in_flight(self, tenant: Tenant) -> None:
        """InUse while bytes move on its connections, an answer of its is awaited, or a model call is under way."""
        if self.look is not None:
            await self.look(tenant)
        hold = self._holds.in_flight(tenant.name)
        if hold is not None:
            raise InUse(f"{tenant.name} is busy: {hold.why}.")

    async def end(self, tenant: Tenant) -> None:
        """Tell it to take work again. One that doesn't listen does so by itself, when its lease is over."""
        suspension = tenant.seen.suspension or ""
        if suspension.endswith(ASKED):
            # Asked again by the same name, it tells the suspension that it is in, or enters it: ended next either way.
            rung = Rung(suspension.partition(":")[0]) if ":" in suspension else Rung.PAUSED
            suspension = (await self._consent(tenant, rung)).suspension or ""
        if not suspension or suspension.endswith(ASKED):
            return
        agent, name = self._seating.agent(tenant), suspension.partition(":")[2]
        resume = agent.resume(tenant.spec, self._seating.gateway_token(tenant), name)
        if resume is not None:
            await self._ask(tenant, resume)

    async def catch_up(self, tenant: Tenant) -> Seen:
        """Have it make up for one more run of each of its jobs that missed some, where its policy says so.

        The last run of each it makes up for by itself, as its scheduler finds the job overdue. The others follow one
        by one: a job that is due already, or runs just now, isn't asked for again. What is left is in the answer, to
        be written down. Asked for twice, for we died before that, a run is done once, unless it had ended by then.
        """
        seen, now = tenant.seen, self._clock.now()
        agent, token = self._seating.agent(tenant), self._seating.gateway_token(tenant)
        ask = agent.jobs(tenant.spec, token)
        if tenant.spec.sleep.missed_runs is not MissedRuns.RUN or ask is None:
            return replace(seen, missed_since=None, owed_runs=())
        answer = await self._ask(tenant, ask)
        if answer is None:
            return seen
        owed = dict(seen.owed_runs)
        if seen.missed_since is not None:
            for job, times in agent.missed(*answer, seen.missed_since, now).items():
                owed[job] = min(owed.get(job, 0) + times - 1, MADE_UP_AT_MOST)
        at_rest = agent.jobs_at_rest(*answer, now)
        for job in owed.keys() & at_rest.keys():
            run = agent.run_job(tenant.spec, token, job, now) if at_rest[job] and owed[job] > 0 else None
            if run is not None and await self._ask(tenant, run) is not None:
                owed[job] -= 1
        left = tuple((job, times) for job, times in owed.items() if times > 0 and job in at_rest)
        return replace(seen, missed_since=None, owed_runs=left)

    async def _ask(self, tenant: Tenant, probe: Probe) -> tuple[int, bytes] | None:
        return await self._prober.ask((await self._runtime.place(tenant.slot)).address, probe)

    def _busy(self, tenant: Tenant, kind: str, why: str) -> AgentBusy:
        self._holds.hold(tenant.name, kind, why, self._clock.now())
        return AgentBusy(f"{tenant.name} is busy: {why}.")
