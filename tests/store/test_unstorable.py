"""What no database keeps, a NUL or half a character, never reaches one: whoever sends it is told so, politely."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from innkeeper.core.access import ADMIN, TenantRole
from innkeeper.core.errors import Invalid, UnknownTenant
from innkeeper.core.events import Bus
from innkeeper.core.identity import Identity
from innkeeper.core.identity_errors import SignInFailed
from innkeeper.core.people_errors import TicketRefused, UnknownUser
from innkeeper.core.reception import Reception
from innkeeper.core.signing_in import Visitor
from innkeeper.core.tokens import TokenWish
from tests.store.databases import DATABASES, opened
from tests.store.examples import tenant
from tests.store.people import session, user
from tests.support.house import TurnedClock
from tests.support.people import QuickPasswords, plain_reception

VISITOR = Visitor(address=None, browser="a\0b")


@pytest.fixture(params=DATABASES)
async def people(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Reception]:
    async with opened(request.param, tmp_path) as store:
        yield plain_reception(store, Bus(), TurnedClock(), QuickPasswords())


@pytest.mark.parametrize("odd", ["\0", "\ud800"])
async def test_what_cannot_be_kept_is_refused(people: Reception, odd: str) -> None:
    mail = f"a{odd}@example.com"
    with pytest.raises(Invalid):
        await people.users.create(mail, actor=ADMIN)
    for nobody in (mail, odd):
        with pytest.raises(UnknownUser):
            await people.users.find(nobody)
    with pytest.raises(SignInFailed):
        await people.signing_in.with_password(mail, f"a{odd}", visitor=VISITOR)
    with pytest.raises(SignInFailed):
        await people.signing_in.with_identity(Identity(issuer="x", subject="1", mail=mail), visitor=VISITOR)
    with pytest.raises(UnknownTenant):
        await people.tokens.create(TokenWish(name="x", tenant=odd, tenant_role=TenantRole.OWNER), actor=ADMIN)
    with pytest.raises(TicketRefused):
        await people.tickets.issue(session(1, user("ann")), tenant("a"), host="a", path=f"/{odd}", binding=odd)
