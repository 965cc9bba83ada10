"""Who may do what: actors, the actions there are, and the one function that decides."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Self

KEY_PREFIX = "ik_"
"""Every credential that we hand out begins so, and secret scanners can find it."""


class _Told(StrEnum):
    """Words that say what they mean, for the reference."""

    says: str

    def __new__(cls, value: str, says: str = "") -> Self:
        """A word with its meaning."""
        word = str.__new__(cls, value)
        word._value_ = value
        word.says = says
        return word


class Role(_Told):
    """What somebody may do on the whole platform."""

    ADMIN = "admin", "everything, users and roles included"
    OPERATOR = "operator", "runs tenants and the host; neither users nor the audit trail"
    AUDITOR = "auditor", "sees how everything stands and the trail; changes nothing, and sees no tenant's data"


class TenantRole(_Told):
    """What somebody is to one tenant."""

    OWNER = "owner", "uses it, and says who else may"
    MEMBER = "member", "uses it"
    VIEWER = "viewer", "sees how it is, and nothing of what it says"


class Scope(StrEnum):
    """Groups of actions that a token can be narrowed to."""

    READ = "read"
    USE = "use"
    OPERATE = "operate"
    MANAGE = "manage"
    AUDIT = "audit"


ALL_SCOPES = frozenset(Scope)


class Action(StrEnum):
    """Everything that is ever asked for; each belongs to one scope."""

    scope: Scope
    says: str

    def __new__(cls, value: str, scope: Scope, says: str) -> Self:
        """An action with its scope and what it is."""
        action = str.__new__(cls, value)
        action._value_ = value
        action.scope = scope
        action.says = says
        return action

    # with a tenant
    LOOK = "tenant.look", Scope.READ, "see how it is: state, figures, events"
    ENTER = "tenant.enter", Scope.USE, "use its agent, through the gate or by chat"
    WAKE = "tenant.wake", Scope.USE, "wake it"
    READ = "tenant.read", Scope.USE, "see what it wrote and was sent: logs, messages"
    STEER = "tenant.steer", Scope.OPERATE, "put it to sleep, restart it, replay messages"
    ADMIT = "tenant.admit", Scope.MANAGE, "its keys and members"
    TRAIL = "tenant.trail", Scope.AUDIT, "the audit trail, as far as it concerns it"
    SECRETS = (
        "tenant.secrets",
        Scope.MANAGE,
        "its secrets and integrations: set, list the names, delete; read in exports",
    )
    EXPORT = "tenant.export", Scope.MANAGE, "take all its data out, and with `tenant.secrets` its secrets"
    BACKUP = "tenant.backup", Scope.OPERATE, "take snapshots of it, verify and prune them, restore it"
    CHANGE = "tenant.change", Scope.OPERATE, "its spec: what it may use and costs"
    CREATE = "tenant.create", Scope.OPERATE, "create one"
    DELETE = "tenant.delete", Scope.OPERATE, "delete it"

    # with the house
    HOUSE = "house.look", Scope.READ, "see the host, releases, operations and capacity"
    BUILD = "house.build", Scope.OPERATE, "build images"
    HOUSE_TRAIL = "house.trail", Scope.AUDIT, "the whole audit trail"
    RECEIPTS = "house.receipts", Scope.READ, "see the receipts of erasures"
    HOUSE_SECRETS = "house.secrets", Scope.MANAGE, "the platform's own secrets: set, list the names, delete; never read"
    IMPORT = "house.import", Scope.MANAGE, "read a path on the host, to take units in from there"
    USERS = "house.users", Scope.READ, "see who has an account"
    MANAGE = "house.manage", Scope.MANAGE, "users, roles, anybody's tokens and sessions"

    # with oneself
    SELF = "self.look", Scope.READ, "who one is, and the tenants that one may look at"
    SELF_CHANGE = "self.change", Scope.MANAGE, "one's own password, sessions and tokens"


class ActorKind(StrEnum):
    """What sort of credential somebody came with."""

    ADMIN = "admin"  # the first admin's token
    TOKEN = "token"  # noqa: S105 - the kind, not the secret
    USER = "user"  # signed in
    KEY = "key"  # a tenant's key
    ISSUED = "issued"  # a JWT from an outside issuer
    AGENT = "agent"  # a tenant's own agent, by its broker token
    SYSTEM = "system"  # the control plane itself
    UNKNOWN = "unknown"  # none that holds: whoever was denied access


_ON_TENANT: Mapping[TenantRole, frozenset[Action]] = {
    TenantRole.VIEWER: frozenset({Action.LOOK}),
    TenantRole.MEMBER: frozenset({Action.LOOK, Action.ENTER, Action.WAKE, Action.READ}),
    TenantRole.OWNER: frozenset(
        {Action.LOOK, Action.ENTER, Action.WAKE, Action.READ, Action.STEER, Action.ADMIT, Action.TRAIL}
        | {Action.SECRETS, Action.EXPORT, Action.BACKUP}
    ),
}
_SEES = frozenset({Action.LOOK, Action.HOUSE, Action.USERS, Action.RECEIPTS})
_ON_PLATFORM: Mapping[Role, frozenset[Action]] = {
    Role.ADMIN: frozenset(Action),
    Role.OPERATOR: _SEES
    | {Action.ENTER, Action.WAKE, Action.READ, Action.STEER, Action.ADMIT, Action.CHANGE, Action.CREATE}
    | {Action.DELETE, Action.BUILD, Action.SECRETS, Action.EXPORT, Action.BACKUP},
    Role.AUDITOR: _SEES | {Action.TRAIL, Action.HOUSE_TRAIL},
}
_ON_ONESELF = frozenset({Action.SELF, Action.SELF_CHANGE})


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who asks, with all that they may."""

    kind: ActorKind
    id: str
    """`usr_…`, `tok_…`, `key_…`; the trail names them by it."""
    role: Role | None = None
    tenants: Mapping[str, TenantRole] = field(default_factory=dict)
    scopes: frozenset[Scope] = ALL_SCOPES
    only: str | None = None
    """The one tenant that a token is bound to."""
    user: str | None = None
    """The user that it stands for."""
    name: str = ""
    """For people: a mail address, or what a key is called."""
    until: float | None = field(default=None, compare=False)
    """When a credential that isn't ours runs out, in seconds since 1970."""
    says: Actor | None = field(default=None, compare=False)
    """Whoever has that credential, without what its user may."""
    address: str | None = field(default=None, compare=False)
    """Where the request came from."""
    request: str | None = field(default=None, compare=False)
    """The request's id."""


SYSTEM = Actor(kind=ActorKind.SYSTEM, id="system")
ADMIN = Actor(kind=ActorKind.ADMIN, id="admin", role=Role.ADMIN, name="admin")
"""Whoever has the first token."""


def allow(actor: Actor, action: Action, tenant: str | None) -> bool:
    """Whether `actor` may do that with `tenant` (None: with the house, or with themself)."""
    if actor.kind is ActorKind.SYSTEM:
        return True
    if action.scope not in actor.scopes:
        return False
    if action in _ON_ONESELF:
        return True
    if actor.only is not None and actor.only != tenant:
        return False
    if actor.role is not None and action in _ON_PLATFORM[actor.role]:
        return True
    part = actor.tenants.get(tenant) if tenant is not None else None
    return part is not None and action in _ON_TENANT[part]


@dataclass(frozen=True, kw_only=True)
class TenantKey:
    """An API key of a tenant, as kept: its hash, and enough of it to be recognised by its owner."""

    id: str
    tenant: str
    tenant_id: str
    name: str
    hint: str
    digest: str
    created_at: datetime
    expires_at: datetime | None = None

    def actor(self) -> Actor:
        """Whoever has it."""
        tenants = {self.tenant: TenantRole.MEMBER}
        return Actor(kind=ActorKind.KEY, id=self.id, tenants=tenants, only=self.tenant, name=self.name)


def new_secret(kind: str) -> str:
    """A fresh credential: 256 random bits behind a prefix that tells its kind."""
    return f"{KEY_PREFIX}{kind}_{secrets.token_urlsafe(32)}"


def digest(secret: str) -> str:
    """What is stored of a credential. A plain hash is enough for 256 random bits; passwords need more."""
    return hashlib.sha256(secret.encode()).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two secrets are equal, told in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())
