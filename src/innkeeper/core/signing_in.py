"""The use cases of signing in and out: by password or by what an identity provider says, with the sessions then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, NoReturn

from innkeeper.core.access import Actor, ActorKind, Role, digest, new_secret
from innkeeper.core.attempts import Attempts
from innkeeper.core.audit import difference, entry
from innkeeper.core.errors import Problem
from innkeeper.core.identities import Identities
from innkeeper.core.identity import Identity
from innkeeper.core.identity_errors import SignInFailed
from innkeeper.core.ids import new_id
from innkeeper.core.people import Session, SignInMethod, User
from innkeeper.core.people_errors import UnknownSession
from innkeeper.core.ports import Clock, Passwords, Store, Transaction
from innkeeper.core.users import MAIL, is_last_admin, told

SESSIONS_MAX = 50
"""Of one user; the oldest gives way."""
BROWSER_MAX = 200
REFUSALS_A_MINUTE = 100
"""So many are written down; whoever has addresses without end could fill the disk with them."""


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """A browser that wants to sign in."""

    address: str | None
    browser: str
    request: str | None = None

    def actor(self, kind: ActorKind, id_: str) -> Actor:
        """Who the trail says it was."""
        return Actor(kind=kind, id=id_, address=self.address, request=self.request)


@dataclass(frozen=True, kw_only=True)
class SignUp:
    """What an identity provider may decide."""

    welcomes: Callable[[Identity], bool] = lambda _: False
    """Whether somebody whom nobody here knows gets an account."""
    gives_roles: bool = False
    """Whether roles on the platform are as the provider says, at each sign-in."""


class SigningIn:
    """Lets people in to the console, and out."""

    def __init__(
        self,
        *,
        store: Store,
        identities: Identities,
        passwords: Passwords,
        clock: Clock,
        lasts: timedelta,
        sign_up: SignUp | None = None,
        attempts: Attempts | None = None,
    ) -> None:
        self._store = store
        self._identities = identities
        self._passwords = passwords
        self._clock = clock
        self._lasts = lasts
        self._sign_up = sign_up or SignUp()
        self._attempts = attempts or Attempts()
        self._minute, self._refusals = 0, 0

    async def with_password(self, mail: str, password: str, *, visitor: Visitor) -> tuple[Session, str]:
        """A session and its secret; SignInFailed whatever is wrong, after the same work; TooManyAttempts."""
        account = mail.strip().lower()[:254]
        self._attempts.begin(account=account, address=visitor.address)
        async with self._store.look() as tx:
            user = await tx.people.user_by_mail(account) if MAIL.fullmatch(account) else None
        right = await self._passwords.verify(password, user.password if user else None)
        if user is None or not right or user.disabled:
            why = "unknown" if user is None else "disabled" if right else "password"
            await self._refused(why, visitor, account if MAIL.fullmatch(account) else None)
        self._attempts.succeeded(account=account, address=visitor.address)
        fields: dict[str, Any] = {}
        if self._passwords.outdated(user.password or ""):
            fields["password"] = await self._passwords.hash(password)
        return await self._begin(user, SignInMethod.PASSWORD, visitor, fields)

    async def with_identity(self, identity: Identity, *, visitor: Visitor) -> tuple[Session, str]:
        """The same for whom the identity provider names; SignInFailed for those who have no account and get none."""
        self._attempts.begin(account=None, address=visitor.address)
        mail = _mail(identity)
        async with self._store.look() as tx:
            user = await tx.people.user_by_subject(identity.issuer, identity.subject)
            by_mail = await tx.people.user_by_mail(mail) if mail else None
        fields: dict[str, Any] = {}
        if user is not None:
            if identity.mail_verified and mail and by_mail is None:
                fields["mail"] = mail  # it changed there; who they are didn't
        elif by_mail is not None:
            user = await self._known_by_mail(identity, by_mail, visitor)
            fields = {"issuer": identity.issuer, "subject": identity.subject, "name": user.name or _name(identity)}
        else:
            user = await self._signed_up(identity, visitor)
        if user.disabled:
            await self._refused("disabled", visitor, user.mail)
        if self._sign_up.gives_roles:
            fields["role"] = Role(identity.role) if identity.role else None
        self._attempts.succeeded(account=None, address=visitor.address)
        return await self._begin(user, SignInMethod.OIDC, visitor, fields)

    async def with_provider(
        self, finish: Callable[[], Awaitable[Identity]], *, visitor: Visitor
    ) -> tuple[Session, str]:
        """The same where the provider has yet to be asked who it is, which counts as trying: it is asked in vain no
        more often than a password is checked. Raises IdentityProviderAway, too."""
        self._attempts.begin(account=None, address=visitor.address)
        try:
            identity = await finish()
        except SignInFailed as failed:
            await self._refused(failed.reason, visitor, None)
        except Problem:
            self._attempts.succeeded(account=None, address=visitor.address)
            raise
        self._attempts.succeeded(account=None, address=visitor.address)
        return await self.with_identity(identity, visitor=visitor)

    async def check_own(self, user: User, password: str) -> None:
        """Raise SignInFailed where that isn't the user's password; guessing is held up like signing in."""
        self._attempts.begin(account=user.mail, address=None)
        if not await self._passwords.verify(password, user.password):
            raise SignInFailed("own password")
        self._attempts.succeeded(account=user.mail, address=None)

    async def sessions(self, *, user: str | None = None) -> Sequence[Session]:
        """Those that aren't over: all, or a user's own."""
        now = self._clock.now()
        async with self._store.look() as tx:
            return [each for each in await tx.people.sessions(user=user) if each.expires_at > now]

    async def end(self, session_id: str, *, actor: Actor, own: bool) -> None:
        """Sign out; every tenant's door that it opened closes. With `own` only one of the actor's own."""
        async with self._store.begin() as tx:
            mine = actor.user if own else None
            sessions = {each.id: each for each in await tx.people.sessions(user=mine)} if mine or not own else {}
            if session_id not in sessions:
                raise UnknownSession(f"There is no session {session_id[:60]!r}.")
            await tx.people.drop_session(session_id)
            session = sessions[session_id]
            detail = {"session": session.id, "user": session.user}
            await tx.audit(entry(actor, "session.end", at=self._clock.now(), detail=detail))
        await self._identities.changed(session.user, revoked=True)

    async def _begin(
        self, user: User, method: SignInMethod, visitor: Visitor, fields: Mapping[str, Any]
    ) -> tuple[Session, str]:
        """A session for `user` as they were looked at, who changes in these fields and in nothing else: to look at
        them and to check a password took its time, and an admin may have changed them meanwhile."""
        now, secret = self._clock.now(), new_secret("s")
        session = Session(
            id=new_id("ses"),
            user=user.id,
            digest=digest(secret),
            method=method,
            address=visitor.address,
            browser="".join(each for each in visitor.browser if each.isprintable())[:BROWSER_MAX],
            created_at=now,
            expires_at=now + self._lasts,
        )
        async with self._store.begin() as tx:
            present = await tx.people.user(user.id)
            if present is None or present.disabled or _ways_in(present) != _ways_in(user):
                raise SignInFailed("changed meanwhile")
            changed = replace(present, **fields)
            if changed.role is not Role.ADMIN and await is_last_admin(tx, present):
                changed = replace(changed, role=Role.ADMIN)  # no provider takes that away
            if changed != present:
                await tx.people.put_user(changed)
            too_many = (await tx.people.sessions(user=user.id))[: -SESSIONS_MAX + 1]
            for old in too_many:
                await tx.people.drop_session(old.id)
            await tx.people.add_session(session)
            before, after = difference(told(present), told(changed))
            line = entry(
                visitor.actor(ActorKind.USER, user.id),
                "session.begin",
                at=now,
                before=before or None,
                after=after or None,
                detail={"session": session.id, "method": method, "browser": session.browser},
            )
            await tx.audit(line)
        await self._identities.changed(user.id, revoked=bool(too_many) or changed.role is not present.role)
        return session, secret

    async def _known_by_mail(self, identity: Identity, user: User, visitor: Visitor) -> User:
        """Whom an admin has made for that mail, to sign in there for the first time; never one with another way in."""
        if not identity.mail_verified or user.password is not None or user.subject is not None:
            await self._refused("mail of another account", visitor, user.mail)
        return user

    async def _signed_up(self, identity: Identity, visitor: Visitor) -> User:
        mail = _mail(identity)
        if mail is None or not self._sign_up.welcomes(identity):
            await self._refused("no account", visitor, mail)
        if not identity.mail_verified:  # owners make members by mail, and agents are told it: it must be theirs
            await self._refused("mail not verified", visitor, mail)
        now = self._clock.now()
        user = User(
            id=new_id("usr"),
            mail=mail,
            name=_name(identity),
            issuer=identity.issuer,
            subject=identity.subject,
            created_at=now,
        )
        async with self._store.begin() as tx:
            await tx.people.add_user(user)
            detail = {"mail": mail, "issuer": identity.issuer, "subject": identity.subject}
            await tx.audit(entry(visitor.actor(ActorKind.USER, user.id), "user.sign_up", at=now, detail=detail))
        return user

    async def _refused(self, why: str, visitor: Visitor, mail: str | None) -> NoReturn:
        minute, left_out = int(self._clock.now().timestamp() // 60), 0
        if minute != self._minute:
            left_out = max(0, self._refusals - REFUSALS_A_MINUTE)
            self._minute, self._refusals = minute, 0
        self._refusals += 1
        if self._refusals <= REFUSALS_A_MINUTE:
            async with self._store.begin() as tx:
                await self._note(tx, why, visitor, mail, left_out)
        raise SignInFailed(why)

    async def _note(self, tx: Transaction, why: str, visitor: Visitor, mail: str | None, left_out: int) -> None:
        """Attempts beyond what the limits let through never come here; `left_out`: before this one, of the rest."""
        detail = {"why": why, "mail": mail, **({"suppressed": left_out} if left_out else {})}
        await tx.audit(
            entry(visitor.actor(ActorKind.USER, "nobody"), "session.refused", at=self._clock.now(), detail=detail)
        )


def _ways_in(user: User) -> tuple[str | None, ...]:
    """What somebody has proved who they are by."""
    return user.password, user.issuer, user.subject


def _mail(identity: Identity) -> str | None:
    mail = (identity.mail or "").lower()
    return mail if MAIL.fullmatch(mail) else None


def _name(identity: Identity) -> str:
    name = "".join(each for each in identity.name or "" if each.isprintable())
    return name.strip()[:120]
