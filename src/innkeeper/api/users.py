"""/v1/users: those who have an account."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field, SecretStr

from innkeeper.api.admission import TheGuest, needs
from innkeeper.api.deps import TheInn
from innkeeper.api.pages import Page, cursor_after
from innkeeper.api.schema import Body, Document, ItemsOf
from innkeeper.core.access import Action, Role
from innkeeper.core.people import User

router = APIRouter(prefix="/users", tags=["people"])
Who = Annotated[str, Path(description="The user's id or mail address.", max_length=300, examples=["ann@example.com"])]


class CreateUser(Body):
    """A new user."""

    mail: str = Field(max_length=300, examples=["ann@example.com"])
    """What they sign in with."""
    name: str = Field(default="", max_length=200, examples=["Ann"])
    role: Role | None = None
    """What they may on the whole platform; null: nothing but what they are to tenants."""
    password: SecretStr | None = Field(default=None, max_length=1000)
    """12 to 256 characters; null: they sign in at the identity provider only."""


class ChangeUser(Body):
    """What is to be different; what is left out stays."""

    name: str = Field(default="", max_length=200)
    role: Role | None = None
    """Null takes it away."""
    disabled: bool = False
    """Disabled, they can't sign in, and all that they have open ends."""
    password: SecretStr | None = Field(default=None, max_length=1000)
    """A new one ends all their sessions; null takes it away."""


class UserDocument(Document):
    """A user, without what proves who they are."""

    id: str
    mail: str
    name: str
    role: Role | None
    has_password: bool
    provider: str | None
    """The issuer at which they sign in."""
    disabled: bool
    created_at: datetime


class UserPage(ItemsOf[UserDocument]):
    """One page of users."""


@router.post("", status_code=201, summary="Create a user")
@needs(Action.MANAGE)
async def create(body: CreateUser, inn: TheInn, guest: TheGuest) -> UserDocument:
    """An account; what it may do in tenants is said by making it their member."""
    password = body.password.get_secret_value() if body.password else None
    user = await inn.people.users.create(
        body.mail, name=body.name, role=body.role, password=password, actor=guest.actor
    )
    return user_document(user)


@router.get("", summary="List users")
@needs(Action.USERS)
async def index(inn: TheInn, page: Page) -> UserPage:
    """All users, the oldest first."""
    found, more = page.cut(await inn.people.users.all(after=page.after, limit=page.take))
    items = [user_document(user) for user in found]
    return UserPage(items=items, next_cursor=cursor_after(found[-1].id) if more else None)


@router.get("/{who}", summary="Look at a user")
@needs(Action.USERS)
async def show(who: Who, inn: TheInn) -> UserDocument:
    """The user of that id or mail address."""
    return user_document(await inn.people.users.find(who))


@router.patch("/{who}", summary="Change a user")
@needs(Action.MANAGE)
async def change(who: Who, body: ChangeUser, inn: TheInn, guest: TheGuest) -> UserDocument:
    """Another name, role or password, or disabled; the last admin stays one (409 `last_admin`)."""
    patch = {name: getattr(body, name) for name in body.model_fields_set}
    if body.password is not None:
        patch["password"] = body.password.get_secret_value()
    return user_document(await inn.people.users.change(who, patch, actor=guest.actor))


@router.delete("/{who}", status_code=204, summary="Delete a user")
@needs(Action.MANAGE)
async def delete(who: Who, inn: TheInn, guest: TheGuest) -> None:
    """The account with its memberships, tokens and sessions; what they have open ends. Not the last admin."""
    await inn.people.users.delete(who, actor=guest.actor)


def user_document(user: User) -> UserDocument:
    """The user as the API tells of them."""
    return UserDocument(
        id=user.id,
        mail=user.mail,
        name=user.name,
        role=user.role,
        has_password=user.password is not None,
        provider=user.issuer,
        disabled=user.disabled,
        created_at=user.created_at,
    )
