"""All that the control plane itself knows of a tenant, as documents that people and programs can read; no secret's
value among them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import date, datetime
from enum import Enum
from typing import Any

from innkeeper.core.audit import told_uses
from innkeeper.core.copies import copy_of
from innkeeper.core.errors import Problem
from innkeeper.core.kept_json import spec_document
from innkeeper.core.messages import Message, unpacked
from innkeeper.core.ports import Seals, Store, Transaction
from innkeeper.core.redaction import redacted
from innkeeper.core.tenant import Tenant
from innkeeper.core.trail import Sought
from innkeeper.core.usage import UsageSought

PAGE = 500
_CREDENTIALS = ("authorization", "cookie", "proxy-authorization", "token", "secret", "signature", "api-key")
README = """\
What is kept of the tenant {name} ({id}), as of {at}.

files/                 what its agent has written: workspace, sessions, memory, settings. Caches are left out. In the
                       agent's own settings credentials are replaced by `left-out`.
data/tenant.json       how it is set up. Values of environment variables are left out: they may be secrets.
data/people.json       who its members are (mail address, name, role, since when), and its keys and tokens by name.
data/secrets.json      its secrets by name: when and by whom they were set. Never a value.
data/integrations.json which other services it is connected to, by whom, and what for. Never a token.
data/messages.jsonl    its inbox: one message a line. `body` is text, or in base64 as `body_base64`. Of delivered ones
                       the content isn't kept, and of headers that carry credentials only the names.
data/usage.jsonl       what its calls to models used, by day, provider and model; money in millionths of a US dollar.
data/asked_names.json  the names of servers that it asked for, where its way out is watched.
data/operations.jsonl  work that was asked for and is remembered.
data/trail.jsonl       the audit trail, as far as it concerns it, with the links by which it can be checked.

JSON (RFC 8259) and JSON lines in UTF-8; times are in UTC (RFC 3339). Made by `innkeeper tenant export-data`, for the
rights of access and portability (GDPR, articles 15 and 20). Not in it: snapshots of earlier states, and the accounts of
its members, which are people's own.
"""


class Dossier:
    """Gathers it."""

    def __init__(self, *, store: Store, seals: Seals) -> None:
        self._store = store
        self._seals = seals

    async def documents(self, tenant: Tenant, *, at: datetime) -> Mapping[str, bytes]:
        """By path."""
        async with self._store.look() as tx:
            found = {
                "data/tenant.json": _json(self._tenant(tenant)),
                "data/people.json": _json(await _people(tx, tenant)),
                "data/secrets.json": _json([_plain(each) for each in await tx.secrets.versions(tenant.id)]),
                "data/integrations.json": _json([_connection(each) for each in await tx.integrations.of(tenant.name)]),
                "data/asked_names.json": _json([_plain(each) for each in await tx.asked_names.of(tenant.name)]),
                "data/usage.jsonl": _lines(await _usage(tx, tenant)),
                "data/operations.jsonl": _lines(
                    _operation(each) for each in await tx.operations(tenant=tenant.name) if each.tenant_id == tenant.id
                ),
            }
        found["data/messages.jsonl"] = await self._messages(tenant)
        found["data/trail.jsonl"] = await self._trail(tenant)
        readme = README.format(name=tenant.name, id=tenant.id, at=at.isoformat(timespec="seconds"))
        return {"README.txt": readme.encode(), **found}

    def _tenant(self, tenant: Tenant) -> dict[str, Any]:
        spec = dict(spec_document(tenant.spec))
        spec["env"] = dict.fromkeys(tenant.spec.env)
        spec["uses"] = told_uses(tenant.spec.uses)
        if tenant.spec.custom is not None:
            spec["custom"] = {**asdict(tenant.spec.custom), "command": None}
        return {
            "id": tenant.id,
            "name": tenant.name,
            "created_at": tenant.created_at,
            "last_activity": tenant.last_activity,
            "revision": tenant.revision,
            "wanted": tenant.wanted,
            "spec": redacted(json.loads(_json(spec))),
        }

    async def _messages(self, tenant: Tenant) -> bytes:
        pieces: list[bytes] = []
        last = 0
        while True:
            async with self._store.look() as tx:
                page = await tx.messages.page(tenant.name, after=last, limit=PAGE)
                sealed = {each.id: await tx.messages.sealed(each.id) for each in page}
            if not page:
                return b"".join(pieces)
            last = page[-1].number
            mine = [each for each in page if each.tenant_id == tenant.id]
            pieces.append(_lines(self._message(each, sealed[each.id]) for each in mine))

    def _message(self, message: Message, sealed: bytes | None) -> dict[str, Any]:
        said = {**_plain(message), "payload": None}
        for ours in ("fingerprint", "attempt", "attempt_at", "tenant_id"):
            del said[ours]
        if sealed is None:
            return said
        try:
            payload = unpacked(self._seals.unseal(message.tenant_id, message.id, sealed))
        except Problem as problem:
            return {**said, "payload": {"unreadable": problem.message}}
        headers = [[name, None if _is_credential(name) else redacted(value)] for name, value in payload.headers]
        content = {"method": payload.method, "query": redacted(payload.query), "headers": headers}
        return {**said, "payload": {**content, **_body(payload.body)}}

    async def _trail(self, tenant: Tenant) -> bytes:
        pieces: list[bytes] = []
        last: int | None = None
        while True:
            async with self._store.look() as tx:
                lines = await tx.chain.lines(Sought(tenant_id=tenant.id), after=last, limit=PAGE)
                links = await tx.chain.links([each.number - 1 for each in lines])
            if not lines:
                return b"".join(pieces)
            last = lines[-1].number
            pieces.append(_lines(copy_of(line, previous=links.get(line.number - 1)) for line in lines))


async def _people(tx: Transaction, tenant: Tenant) -> dict[str, Any]:
    members = []
    for member in await tx.people.members(tenant=tenant.name):
        user = await tx.people.user(member.user)
        known = {} if user is None else {"mail": user.mail, "name": user.name}
        members.append({"id": member.user, **known, "role": member.role, "since": member.created_at})
    keys = await tx.keys(tenant.name)
    tokens = [each for each in await tx.people.tokens() if each.tenant == tenant.name]
    return {
        "members": members,
        "keys": [_credential(each) for each in keys],
        "tokens": [_credential(each) for each in tokens],
    }


async def _usage(tx: Transaction, tenant: Tenant) -> list[dict[str, Any]]:
    rows = await tx.usage.page(UsageSought(tenant_id=tenant.id))
    return [
        {
            "day": row.key.period,
            "provider": row.key.provider,
            "model": row.key.model,
            **_plain(row.counts),
            "tokens": _plain(row.counts.tokens),
        }
        for row in rows
    ]


def _credential(kept: Any) -> dict[str, Any]:
    return {"id": kept.id, "name": kept.name, "created_at": kept.created_at, "expires_at": kept.expires_at}


def _connection(connection: Any) -> dict[str, Any]:
    shown = ("integration", "standing", "connected_by", "connected_as", "connected_at", "scopes", "expires_at")
    return {name: getattr(connection, name) for name in shown}


def _operation(operation: Any) -> dict[str, Any]:
    return {name: getattr(operation, name) for name in ("id", "kind", "status", "created_at", "updated_at")}


def _is_credential(header: str) -> bool:
    return any(part in header.lower() for part in _CREDENTIALS)


def _body(body: bytes) -> dict[str, str]:
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}


def _plain(kept: Any) -> dict[str, Any]:
    return dict(vars(kept))


def _json(document: Any) -> bytes:
    return json.dumps(document, default=_value, ensure_ascii=False, indent=2).encode(errors="replace") + b"\n"


def _lines(documents: Iterable[Any]) -> bytes:
    lines = (json.dumps(each, default=_value, ensure_ascii=False) + "\n" for each in documents)
    return "".join(lines).encode(errors="replace")


def _value(value: Any) -> Any:
    match value:
        case datetime() | date():
            return value.isoformat()
        case Enum():
            return value.value
        case Mapping():
            return dict(value)
        case tuple() | frozenset() | set():
            return list(value)
    return dict(vars(value))
