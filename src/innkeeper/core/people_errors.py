"""What goes wrong with people and their credentials."""

from __future__ import annotations

from innkeeper.core.errors import Conflict, Forbidden, Kind, NotFound, Problem


class UnknownUser(NotFound):
    """No user has that id or mail."""

    code = "unknown_user"
    default_hint = "List the users with `innkeeper user list`."


class UnknownMember(NotFound):
    """That user is no member of the tenant."""

    code = "unknown_member"
    default_hint = "List the members with `innkeeper member list NAME`."


class UnknownToken(NotFound):
    """No API token has that id, or it isn't yours."""

    code = "unknown_token"
    default_hint = "List the tokens with `innkeeper token list`."


class UnknownSession(NotFound):
    """Nobody is signed in by a session of that id, or it isn't yours."""

    code = "unknown_session"
    default_hint = "List the sessions with `innkeeper session list`."


class UserExists(Conflict):
    """Another user has that mail address, or signs in with that account of the provider."""

    code = "user_exists"
    default_hint = "See who has it with `innkeeper user list`."


class LastAdmin(Conflict):
    """Without this admin nobody could manage users any more."""

    code = "last_admin"
    default_hint = "Make another user an admin first."


class TooManyAttempts(Problem):
    """Too many sign-ins or credentials were refused lately, for that account or from that address."""

    code = "too_many_attempts"
    kind = Kind.NOT_READY
    default_hint = "Wait a minute, then try again."


class ForeignOrigin(Forbidden):
    """A page of another site made the browser ask, and the browser's own session is no answer to that."""

    code = "foreign_origin"
    default_hint = "Programs send `Authorization: Bearer`; pages of the same origin need nothing."


class TicketRefused(Forbidden):
    """The way back from signing in was used before, took too long, or belongs to another browser or tenant."""

    code = "ticket_refused"
    default_hint = "Open the tenant's address again."
