"""The reception: all use cases that concern people, in one value for those who hand requests on to them."""

from __future__ import annotations

from dataclasses import dataclass

from innkeeper.core.envelopes import Envelopes
from innkeeper.core.identities import Identities
from innkeeper.core.members import Members
from innkeeper.core.signing_in import SigningIn
from innkeeper.core.tickets import Tickets
from innkeeper.core.tokens import ApiTokens
from innkeeper.core.users import Users


@dataclass(frozen=True, kw_only=True)
class Reception:
    """Who is known here, and how they get in."""

    identities: Identities
    users: Users
    members: Members
    tokens: ApiTokens
    signing_in: SigningIn
    tickets: Tickets
    envelopes: Envelopes
