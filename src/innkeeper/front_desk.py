"""The front desk: all that has to do with people, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from innkeeper.core.envelopes import Envelopes
from innkeeper.core.events import Bus
from innkeeper.core.identities import Identities
from innkeeper.core.identity import Identity
from innkeeper.core.members import Members
from innkeeper.core.ports import Clock, OutsideTokens, Seals, SignIn, Store, Tokens
from innkeeper.core.reception import Reception
from innkeeper.core.signing_in import SigningIn, SignUp
from innkeeper.core.tickets import Tickets
from innkeeper.core.tokens import ApiTokens
from innkeeper.core.users import Users
from innkeeper.identity.choice import outside_tokens, sign_in
from innkeeper.identity.passwords import Argon2Passwords
from innkeeper.settings import Settings


async def reception(
    settings: Settings, *, store: Store, bus: Bus, clock: Clock, tokens: Tokens, seals: Seals
) -> Reception:
    """Everybody who is known, and the ways in."""
    identities = Identities(store=store, bus=bus, clock=clock)
    await identities.load()
    passwords = Argon2Passwords()

    def welcomes(identity: Identity) -> bool:
        return settings.may_sign_up(identity.mail, verified=identity.mail_verified)

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
            lasts=timedelta(hours=settings.session_h),
            sign_up=SignUp(welcomes=welcomes, gives_roles=settings.oidc_role_claim is not None),
        ),
        tickets=Tickets(store=store, identities=identities, tokens=tokens, clock=clock),
        envelopes=Envelopes(seals=seals, clock=clock),
    )


@asynccontextmanager
async def outside_issuer(settings: Settings) -> AsyncIterator[OutsideTokens | None]:
    """The issuer whose tokens are believed, where the settings name one."""
    issuer = outside_tokens(settings)
    try:
        yield issuer
    finally:
        if issuer is not None:
            await issuer.close()


@asynccontextmanager
async def identity_provider(settings: Settings) -> AsyncIterator[SignIn | None]:
    """Where people can sign in, too, where the settings name one."""
    provider = sign_in(settings)
    try:
        yield provider
    finally:
        if provider is not None:
            await provider.close()
