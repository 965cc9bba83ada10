"""Users and members: who may be one, and that there is always an admin."""

from __future__ import annotations

import pytest

from innkeeper.core.access import ADMIN, Role, TenantRole
from innkeeper.core.errors import Conflict, Invalid, UnknownTenant
from innkeeper.core.people import User
from innkeeper.core.people_errors import LastAdmin, UnknownMember, UnknownUser, UserExists
from innkeeper.core.signing_in import Visitor
from innkeeper.core.users import checked_mail
from tests.support.house import House

VISITOR = Visitor(address=None, browser="")


@pytest.fixture
async def house() -> House:
    house = House()
    await house.create("alice")
    return house


async def made(house: House, name: str = "ann", role: Role | None = None, password: str | None = None) -> User:
    return await house.people.users.create(f"{name}@example.com", role=role, password=password, actor=ADMIN)


@pytest.mark.parametrize(
    ("written", "kept"),
    [(" Ann@Example.COM ", "ann@example.com"), ("a+b.c@x", "a+b.c@x"), ("grüße@example.com", "grüße@example.com")],
)
def test_a_mail_is_kept_in_lower_case(written: str, kept: str) -> None:
    assert checked_mail(written) == kept


@pytest.mark.parametrize(
    "written",
    [
        "", "@", "ann", "ann@", "@example.com", "a b@example.com", "a@b@example.com", "a@-x.org", "a@x..org",
        "a..b@x.org", "<a@x.org>", "a\0@x.org", "a\x1b[1m@x.org", "a\ud800@x.org", "a@x.org\nb", "'a'@x.org",
        "a" * 65 + "@x.org", "a@" + "x" * 253,
    ],
)  # fmt: skip
def test_what_is_no_mail_is_refused(written: str) -> None:
    with pytest.raises(Invalid):
        checked_mail(written)


async def test_a_user_is_found_by_id_and_by_mail(house: House) -> None:
    ann = await made(house)
    assert await house.people.users.find(ann.id) == await house.people.users.find(" ANN@example.com") == ann
    for nobody in ("", "bob@example.com", "usr_0", "\0", "a\0@example.com", "\ud800", "x" * 1000, "../alice"):
        with pytest.raises(UnknownUser):
            await house.people.users.find(nobody)
    with pytest.raises(UserExists):
        await made(house)


@pytest.mark.parametrize("name", ["x" * 121, "a\nb", "a\0b", "\ud800"])
async def test_a_name_can_be_shown(house: House, name: str) -> None:
    with pytest.raises(Invalid):
        await house.people.users.create("ann@example.com", name=name, actor=ADMIN)


async def test_the_last_admin_stays_one(house: House) -> None:
    ann, bob = await made(house, role=Role.ADMIN), await made(house, "bob", Role.OPERATOR)
    users = house.people.users
    for patch in ({"role": None}, {"role": Role.OPERATOR}, {"disabled": True}):
        with pytest.raises(LastAdmin):
            await users.change(ann.id, patch, actor=ADMIN)
    with pytest.raises(LastAdmin):
        await users.delete(ann.id, actor=ADMIN)
    assert await users.find(ann.id) == ann
    await users.change(ann.id, {"name": "Ann", "role": Role.ADMIN}, actor=ADMIN)
    await users.change(bob.id, {"role": Role.ADMIN, "disabled": True}, actor=ADMIN)
    with pytest.raises(LastAdmin):
        await users.delete(ann.id, actor=ADMIN)  # a disabled admin manages nobody
    await users.change(bob.id, {"disabled": False}, actor=ADMIN)
    await users.delete(ann.id, actor=ADMIN)
    assert [user.id for user in await users.all()] == [bob.id]


@pytest.mark.parametrize(
    ("patch", "goes"),
    [
        ({"password": "y"}, True), ({"password": None}, True), ({"disabled": True}, True),
        ({"name": "Ann"}, False), ({"role": Role.AUDITOR}, False), ({"disabled": False}, False),
    ],
)  # fmt: skip
async def test_sessions_end_with_the_password_and_the_account(
    house: House, patch: dict[str, object], goes: bool
) -> None:
    ann, _ = await made(house, password="x"), await made(house, "bob", password="x")
    anns, _ = await house.people.signing_in.with_password("ann@example.com", "x", visitor=VISITOR)
    bobs, _ = await house.people.signing_in.with_password("bob@example.com", "x", visitor=VISITOR)
    await house.people.users.change(ann.id, patch, actor=ADMIN)
    assert (house.identities.session(anns.id) is None) is goes
    assert house.identities.session(bobs.id) is not None


async def test_no_password_gets_into_the_trail(house: House) -> None:
    ann = await made(house, password="canary")
    await house.people.users.change(ann.id, {"password": "canary two"}, actor=ADMIN)
    async with house.store.look() as tx:
        lines = [line for _, line in await tx.trail() if line.action.startswith("user.")]
    assert [line.action for line in lines] == ["user.create", "user.change"]
    assert "canary" not in repr(lines) + repr(ann)
    assert lines[1].detail["password"] is True


async def test_members_are_users_of_a_tenant_that_is_there(house: House) -> None:
    ann, members = await made(house), house.people.members
    with pytest.raises(UnknownTenant):
        await members.put("nobody", ann.id, TenantRole.OWNER, actor=ADMIN)
    with pytest.raises(UnknownUser):
        await members.put("alice", "bob@example.com", TenantRole.OWNER, actor=ADMIN)
    first, _ = await members.put("alice", ann.mail, TenantRole.OWNER, actor=ADMIN)
    again, _ = await members.put("alice", ann.id, TenantRole.OWNER, actor=ADMIN)
    assert first == again
    await members.put("alice", ann.id, TenantRole.VIEWER, actor=ADMIN)
    assert [(member.role, user) for member, user in await members.all("alice")] == [(TenantRole.VIEWER, ann)]
    async with house.store.look() as tx:
        lines = [line for _, line in await tx.trail() if line.action == "member.put"]
    assert [(line.before, line.after) for line in lines] == [(None, {"role": "owner"}),
                                                             ({"role": "owner"}, {"role": "viewer"})]  # fmt: skip
    await members.drop("alice", ann.id, actor=ADMIN)
    with pytest.raises(UnknownMember):
        await members.drop("alice", ann.id, actor=ADMIN)


async def test_a_tenant_has_so_many_members_and_no_more(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("innkeeper.core.members.MEMBERS_MAX", 1)
    ann, bob = await made(house), await made(house, "bob")
    await house.people.members.put("alice", ann.id, TenantRole.MEMBER, actor=ADMIN)
    with pytest.raises(Conflict):
        await house.people.members.put("alice", bob.id, TenantRole.MEMBER, actor=ADMIN)
    await house.people.members.put("alice", ann.id, TenantRole.OWNER, actor=ADMIN)
