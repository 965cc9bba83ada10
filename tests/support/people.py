"""People for tests: the use cases with passwords that are quick to check, and tokens that can be read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from innkeeper.core.attempts import Attempts
from innkeeper.core.envelopes import Envelopes
from innkeeper.core.errors import Problem
from innkeeper.core.events import Bus
from innkeeper.core.identities import Identities
from innkeeper.core.keyring_facts import Burial
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


class PlainKeys:
    """Data keys that are only counted."""

    def __init__(self) -> None:
        self.lost: set[str] = set()
        self.destroyed: list[str] = []

    def has(self, tenant_id: str) -> bool:
        return tenant_id not in self.lost

    async def ready(self, tenant_id: str) -> None:
        assert tenant_id not in self.destroyed

    async def destroy(self, tenant_id: str) -> None:
        self.destroyed.append(tenant_id)

    async def burial(self, tenant_id: str) -> Burial | None:
        if tenant_id not in self.destroyed:
            return None
        return Burial(key=f"dk_{tenant_id}", at=datetime(2026, 11, 20, tzinfo=UTC), held_in=())


class PlainSeals:
    """Seals that can be read, and still open for the right tenant and name alone."""

    def seal(self, tenant_id: str, name: str, plain: bytes) -> bytes:
        return f"{tenant_id} {name}\n".encode() + plain

    def unseal(self, tenant_id: str, name: str, sealed: bytes) -> bytes:
        mark, _, plain = sealed.partition(b"\n")
        if mark != f"{tenant_id} {name}".encode():
            raise Problem(f"{name} doesn't open.")
        return plain

    def fingerprint(self, tenant_id: str, content: bytes) -> str:
        return f"{tenant_id} {hash(content)}"


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


def plain_reception(
    store: Store, bus: Bus, clock: Clock, passwords: QuickPasswords, *, sign_up: SignUp | None = None
) -> Reception:
    """The reception of a test."""
    identities = Identities(store=store, bus=bus, clock=clock)
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
            attempts=Attempts(clock=lambda: 0.0),
        ),
        tickets=Tickets(store=store, identities=identities, tokens=PlainTokens(), clock=clock),
        envelopes=Envelopes(seals=PlainSeals(), clock=clock),
    )
