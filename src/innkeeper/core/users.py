"""The use cases of users: made, changed and removed by admins, and never the last admin."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from innkeeper.core.access import Actor, Role
from innkeeper.core.audit import difference, entry
from innkeeper.core.errors import Invalid
from innkeeper.core.identities import Identities
from innkeeper.core.ids import new_id
from innkeeper.core.people import User
from innkeeper.core.people_errors import LastAdmin, UnknownUser
from innkeeper.core.ports import Clock, Passwords, Store, Transaction

MAIL = re.compile(r"[^\s@<>\"'`\\\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,64}@[a-z0-9](?:[a-z0-9.-]{0,250}[a-z0-9])?")
"""Without what no database keeps: PostgreSQL's texts have no NUL, and half a character is no text at all."""
_ID = re.compile(r"[a-z0-9_]{1,60}")


class Users:
    """Those who have an account."""

    def __init__(self, *, store: Store, identities: Identities, passwords: Passwords, clock: Clock) -> None:
        self._store = store
        self._identities = identities
        self._passwords = passwords
        self._clock = clock

    async def create(
        self, mail: str, *, name: str = "", role: Role | None = None, password: str | None = None, actor: Actor
    ) -> User:
        """A new user; without a password they sign in at the identity provider only. Raises UserExists."""
        mail, now = checked_mail(mail), self._clock.now()
        user = User(id=new_id("usr"), mail=mail, name=_checked_name(name), role=role, created_at=now)
        if password is not None:
            user = replace(user, password=await self._hashed(password, mail))
        async with self._store.begin() as tx:
            await tx.people.add_user(user)
            await tx.audit(entry(actor, "user.create", at=now, after=told(user)))
        await self._identities.changed(user.id)
        return user

    async def all(self, *, after: str = "", limit: int | None = None) -> Sequence[User]:
        """By id: the oldest first."""
        async with self._store.look() as tx:
            return await tx.people.users(after=after, limit=limit)

    async def find(self, who: str) -> User:
        """By id or mail; UnknownUser."""
        async with self._store.look() as tx:
            return await found(tx, who)

    async def change(self, who: str, patch: Mapping[str, Any], *, actor: Actor) -> User:
        """Set `name`, `role`, `disabled` or `password`, as far as the patch has them; a new password and being disabled
        end all sessions. Raises LastAdmin."""
        fields = {name: patch[name] for name in ("role", "disabled") if name in patch}
        if "name" in patch:
            fields["name"] = _checked_name(patch["name"])
        if "password" in patch:
            mail = (await self.find(who)).mail
            password = patch["password"]
            fields["password"] = None if password is None else await self._hashed(password, mail)
        async with self._store.begin() as tx:
            user = await found(tx, who)
            changed = replace(user, **fields)
            if not _is_admin(changed):
                await _not_the_last_admin(tx, user)
            await tx.people.put_user(changed)
            if changed.disabled or changed.password != user.password:
                for session in await tx.people.sessions(user=user.id):
                    await tx.people.drop_session(session.id)
            before, after = difference(told(user), told(changed))
            detail = {"user": user.id, "password": "password" in fields}
            line = entry(actor, "user.change", at=self._clock.now(), before=before, after=after, detail=detail)
            await tx.audit(line)
        await self._identities.changed(user.id, revoked=True)
        return changed

    async def delete(self, who: str, *, actor: Actor) -> None:
        """Away with the account, its memberships, tokens and sessions. Raises LastAdmin."""
        async with self._store.begin() as tx:
            user = await found(tx, who)
            await _not_the_last_admin(tx, user)
            await tx.people.drop_user(user.id)
            await tx.audit(entry(actor, "user.delete", at=self._clock.now(), before=told(user)))
        await self._identities.changed(user.id, revoked=True)

    async def _hashed(self, password: str, mail: str) -> str:
        self._passwords.check(password, mail=mail)
        return await self._passwords.hash(password)


def checked_mail(mail: str) -> str:
    """The address as it is kept, or Invalid."""
    plain = mail.strip().lower()
    if not MAIL.fullmatch(plain) or ".." in plain or len(plain) > 254:
        raise Invalid("That isn't a mail address.", field="mail", hint="Like ann@example.com.")
    return plain


async def found(tx: Transaction, who: str) -> User:
    """The user of that id or mail, or UnknownUser."""
    mail = who.strip().lower()
    user = None  # also for what can be neither, which never reaches the store
    if MAIL.fullmatch(mail):
        user = await tx.people.user_by_mail(mail)
    elif _ID.fullmatch(who):
        user = await tx.people.user(who)
    if user is None:
        raise UnknownUser(f"There is no user {who[:80]!r}.")
    return user


def told(user: User) -> Mapping[str, object]:
    """A user for the trail, without what proves who they are."""
    return {
        "user": user.id,
        "mail": user.mail,
        "name": user.name,
        "role": user.role,
        "disabled": user.disabled,
        "has_password": user.password is not None,
        "issuer": user.issuer,
        "subject": user.subject,
    }


async def is_last_admin(tx: Transaction, user: User) -> bool:
    """Whether nobody else could manage users."""
    others = (each for each in await tx.people.users() if each.id != user.id)
    return _is_admin(user) and not any(_is_admin(each) for each in others)


async def _not_the_last_admin(tx: Transaction, user: User) -> None:
    if await is_last_admin(tx, user):
        raise LastAdmin(f"{user.mail} is the last admin.")


def _is_admin(user: User) -> bool:
    return user.role is Role.ADMIN and not user.disabled


def _checked_name(name: str) -> str:
    plain = name.strip()
    if len(plain) > 120 or (plain and not plain.isprintable()):
        raise Invalid("A name has up to 120 printable characters.", field="name")
    return plain
