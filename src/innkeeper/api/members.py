"""/v1/tenants/{name}/members: what users are to a tenant."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter

from innkeeper.api.admission import TheGuest, needs
from innkeeper.api.deps import TheInn
from innkeeper.api.schema import Body, Document, ItemsOf
from innkeeper.api.tenants import Name
from innkeeper.api.users import Who
from innkeeper.core.access import Action, TenantRole
from innkeeper.core.people import Member, User

router = APIRouter(prefix="/tenants/{name}/members", tags=["people"])


class PutMember(Body):
    """What the user is to be."""

    role: TenantRole = TenantRole.MEMBER
    """`owner` uses it and says who else may, `member` uses it, `viewer` sees how it is."""


class MemberDocument(Document):
    """What a user is to a tenant."""

    tenant: str
    user: str
    mail: str
    name: str
    role: TenantRole
    created_at: datetime


class MemberPage(ItemsOf[MemberDocument]):
    """A tenant's members."""


@router.get("", summary="List members")
@needs(Action.ADMIT)
async def index(name: Name, inn: TheInn) -> MemberPage:
    """Who belongs to the tenant, all on one page."""
    return MemberPage(items=[_document(*each) for each in await inn.people.members.all(name)])


@router.put("/{who}", summary="Add or change a member")
@needs(Action.ADMIT)
async def put(name: Name, who: Who, inn: TheInn, guest: TheGuest, body: PutMember | None = None) -> MemberDocument:
    """Make a user a member, or another sort of one; said again it changes nothing."""
    role = (body or PutMember()).role
    return _document(*await inn.people.members.put(name, who, role, actor=guest.actor))


@router.delete("/{who}", status_code=204, summary="Remove a member")
@needs(Action.ADMIT)
async def drop(name: Name, who: Who, inn: TheInn, guest: TheGuest) -> None:
    """No member any more; what they have open at the tenant ends within seconds."""
    await inn.people.members.drop(name, who, actor=guest.actor)


def _document(member: Member, user: User) -> MemberDocument:
    return MemberDocument(
        tenant=member.tenant,
        user=user.id,
        mail=user.mail,
        name=user.name,
        role=member.role,
        created_at=member.created_at,
    )
