"""Two tenants with people of every kind, and things of the one that nobody of the other's may ever see.

None of them has a name that stands in the API's description as an example: an admin would be sent after them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from innkeeper.api.console_session import COOKIE
from innkeeper.core.access import ADMIN, SYSTEM, Actor, ActorKind, Role, TenantRole
from innkeeper.core.ids import new_id
from innkeeper.core.messages import Payload
from innkeeper.core.openings import InboxPath
from innkeeper.core.signing_in import Visitor
from innkeeper.core.snapshots import Origin, Snapshot
from innkeeper.core.specs import SpecPatch
from innkeeper.core.tokens import TokenWish
from tests.api.bench import Bench
from tests.api.people import PASSWORD, person, token_of

AMY, BEN = "amy", "ben"
MIXED = "ben's things under amy's name"
MARK = "4be1f9"
"""Ends every canary."""
SEALED = {f"{what}-{MARK}" for what in ("env", "query", "header", "body")}
"""What the API tells nobody at all."""
SAID = {f"{what}-{MARK}" for what in ("log", "sender")}
"""What ben says and is sent: auditors don't see that."""
CANARIES = SEALED | SAID | {f"{what}-{MARK}" for what in ("host", "key", "mail", "person", "token", "browser")}
HOOKS = InboxPath(path="/hooks")

Headers = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Town:
    """Who there is, with what they send, and the names and ids by which a tenant's things are asked for."""

    admin: Headers
    operator: Headers
    auditor: Headers
    amys: Mapping[str, Headers]
    """Amy's people, and those who are nobody's."""
    bens: Headers
    things: Mapping[str, Mapping[str, str]]
    """By tenant, and mixed up: path parameter to value."""


async def town(bench: Bench) -> Town:
    """Amy and ben; whatever is ben's has a canary in it."""
    await _tenant(bench, AMY)
    await _tenant(bench, BEN, f"-{MARK}")
    owner, bens = await person(bench, "an-owner", tenants={AMY: TenantRole.OWNER}), await _bens_owner(bench)
    member = await person(bench, "member", tenants={AMY: TenantRole.MEMBER})
    viewer = await person(bench, "viewer", tenants={AMY: TenantRole.VIEWER})
    bystander = await person(bench, "bystander", tenants={AMY: TenantRole.VIEWER})
    _, key = await bench.key(AMY)
    _, cookie = await bench.inn.people.signing_in.with_password(
        "an-owner@example.com", PASSWORD, visitor=Visitor(address="192.0.2.9", browser="amys")
    )
    people = {"owner": owner, "member": member, "viewer": viewer, "nobody's user": await person(bench, "nobodys")}
    amys = {name: _bearer(await token_of(bench, user)) for name, user in people.items()}
    amys |= {
        "owner, signed in": {"Cookie": f"{COOKIE}={cookie}", "Sec-Fetch-Site": "same-origin"},
        "key": _bearer(key),
        "nobody": {},
    }
    amys_things, bens_things = await _things(bench, AMY, owner), await _things(bench, BEN, bens, f"-{MARK}")
    return Town(
        admin=_bearer(bench.admin_token),
        operator=_bearer(await token_of(bench, await person(bench, "operator", role=Role.OPERATOR))),
        auditor=_bearer(await token_of(bench, await person(bench, "auditor", role=Role.AUDITOR))),
        amys=amys,
        bens=_bearer(await token_of(bench, bens)),
        things={AMY: {**amys_things, "who": bystander}, BEN: bens_things, MIXED: {**bens_things, "name": AMY}},
    )


def _bearer(secret: str) -> Headers:
    return {"Authorization": f"Bearer {secret}"}


async def _tenant(bench: Bench, name: str, mark: str = "") -> None:
    patch = SpecPatch(env={"SECRET": f"env{mark}"}, hostnames=(f"{name}-host{mark}.example",), inbox=(HOOKS,))
    operation = await bench.house.create(name, patch)
    assert (await bench.house.control.wait(operation.id, timeout_s=20)).status == "done"
    bench.house.runtime.say(name, f"log{mark}")
    tenant = await bench.house.tenant(name)
    headers = (("webhook-id", f"sender{mark}"), ("x-said", f"header{mark}"))
    payload = Payload(method="POST", query=f"query{mark}", headers=headers, body=f"body{mark}".encode())
    await bench.house.inbox.accept(name, tenant.id, HOOKS, payload)


async def _bens_owner(bench: Bench) -> str:
    people, mail = bench.inn.people, f"mail-{MARK}@example.com"
    user = await people.users.create(mail, name=f"person-{MARK}", role=None, password=PASSWORD, actor=ADMIN)
    await people.members.put(BEN, user.id, TenantRole.OWNER, actor=ADMIN)
    return user.id


async def _things(bench: Bench, tenant: str, owner: str, mark: str = "") -> Mapping[str, str]:
    people = bench.inn.people
    key, _ = await bench.house.keys.create(tenant, f"key{mark}", actor=SYSTEM)
    maker = Actor(kind=ActorKind.USER, id=owner, user=owner)
    token, _ = await people.tokens.create(TokenWish(name=f"token{mark}"), actor=maker)
    visitor = Visitor(address="192.0.2.7", browser=f"browser{mark}")
    session, _ = await people.signing_in.with_password((await people.users.find(owner)).mail, PASSWORD, visitor=visitor)
    async with bench.house.store.look() as tx:
        (operation,) = await tx.operations(tenant=tenant, open_only=False, after="", limit=1)
    (message,) = await bench.house.inbox.page(tenant)
    owner_id, now = (await bench.house.tenant(tenant)).id, bench.house.clock.now()
    snapshot = Snapshot(
        id=new_id("snap"), owner=owner_id, tenant=tenant, taken_at=now, confirmed_at=now, origin=Origin.ASKED,
        files=1, bytes=1, operation=operation.id,
    )  # fmt: skip
    async with bench.house.store.begin() as tx:
        await tx.snapshots.put(snapshot)
    return {
        "name": tenant,
        "snapshot_id": snapshot.id,
        "receipt_id": new_id("rct"),
        "key_id": key.id,
        "message_id": message.id,
        "operation_id": operation.id,
        "session_id": session.id,
        "token_id": token.id,
        "who": owner,
    }
