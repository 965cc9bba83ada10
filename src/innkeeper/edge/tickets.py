"""What the gate writes on a message's way to the inbox: whose it is, and by which of the tenant's paths it came.

The ticket travels as `Authorization`. Of all headers that is the one which Caddy takes from the gate alone, whatever
the client sent; the client's own goes within the ticket, for it may be the sender's proof to the agent.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass

from innkeeper.core.openings import InboxPath
from innkeeper.core.tenant import Tenant

_SCHEME = b"Inbox "


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """Where a message belongs."""

    tenant: str
    tenant_id: str
    at: InboxPath
    authorization: str
    """The sender's own; empty where it sent none, or one of ours."""


def ticket_for(tenant: Tenant, at: InboxPath, authorization: bytes) -> bytes:
    """The header's value."""
    parts = [tenant.name, tenant.id, at.path, at.id, at.port, authorization.decode("latin-1")]
    return _SCHEME + base64.b64encode(json.dumps(parts).encode())


def read_ticket(value: bytes) -> Ticket | None:
    """The ticket in a header; None where it isn't one of the gate's."""
    if not value.startswith(_SCHEME):
        return None
    try:
        tenant, tenant_id, path, id_, port, authorization = json.loads(base64.b64decode(value[len(_SCHEME) :]))
    except (binascii.Error, ValueError, TypeError):
        return None
    at = InboxPath(path=path, id=id_, port=port)
    return Ticket(tenant=tenant, tenant_id=tenant_id, at=at, authorization=authorization)
