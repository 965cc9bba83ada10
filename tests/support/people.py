"""People for tests: the use cases with passwords that are quick to check, and tokens that can be read."""

from __future__ import annotations

from datetime import timedelta

from innkeeper.core.events import Bus
from innkeeper.core.identities import Identities
from innkeeper.core.members import Members
from innkeeper.core.ports import Clock, Store
from innkeeper.core.reception import Reception
from innkeeper.core.signing_in import SigningIn, SignUp
from innkeeper.core.tickets import Tickets
from innkeeper.core.tokens import ApiTokens
from innkeeper.core.users import Users


class PlainTokens:
    """Tokens that can be read."""

    def broker_token(self, tenant_id: str, epoch: int) -> str:
        return f"broker-{tenant_id}-{epoch}"

    def door_seal(self, session_id: str, tenant_id: str) -> str:
        return f"seal-{session_id}-{tenant_id}"

    def gateway_token(self, tenant_id: str, epoch: int) -> str:
        return f"gateway-{tenant_id}-{epoch}"


class QuickPasswords:
    """Keeps passwords as they are, and counts how often one was checked."""

    def __init__(self) -> None:
        self.verified = 0

    def check(self, password: str, *, mail: str) -> None:
        """Whatever it is."""

    async def hash(self, password: str) -> str:
        return f"plain:{password}"

    async def verify(self, password: str, phc: str | None) -> bool:
        self.verified += 1
        return phc == f"plain:{password}"

    def outdated(self, phc: str) -> bool:
        return not phc.startswith("plain:")


def plain_reception(store: Store, bus: Bus, clock: Clock, *, sign_up: SignUp | None = None) -> Reception:
    """The reception of a test."""
    identities, passwords = Identities(store=store, bus=bus, clock=clock), QuickPasswords()
    return Reception(
        identities=identities,
        users=Users(store=store, identities=identities, passwords=passwords, clock=clock),
        members=Members(store=store, identities=identities, clock=clock),
        tokens=ApiTokens(store=store, identities=identities, clock=clock),
        signing_in=SigningIn(
            store=store,
            identities=identities,
            passwords=passwords,
            clock=clock,
            lasts=timedelta(hours=1),
            sign_up=sign_up,
        ),
        tickets=Tickets(store=store, identities=identities, tokens=PlainTokens(), clock=clock),
    )
