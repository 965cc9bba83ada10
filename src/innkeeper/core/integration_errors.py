"""What goes wrong with integrations."""

from __future__ import annotations

from innkeeper.core.errors import Conflict, Forbidden, Kind, NotFound, Problem


class UnknownIntegration(NotFound):
    """The operator has configured no integration of that name."""

    code = "unknown_integration"
    default_hint = "List them with `innkeeper integration list NAME`; operators add one in the settings."


class IntegrationNotConnected(Conflict):
    """The tenant isn't connected to that service."""

    code = "integration_not_connected"
    default_hint = "An owner of the tenant connects it: `innkeeper integration connect NAME INTEGRATION`."


class IntegrationBroken(Conflict):
    """The service takes the tenant's connection no more; it has to be made anew."""

    code = "integration_broken"
    default_hint = "An owner of the tenant connects it again: `innkeeper integration connect NAME INTEGRATION`."


class IntegrationAway(Problem):
    """The service gives no token just now; it is asked again later."""

    code = "integration_away"
    kind = Kind.UNAVAILABLE
    default_hint = "Try again shortly; nothing has to be connected anew for that."


class GrantRefused(Conflict):
    """The service gives no token for what it was shown; the message says why, in its words."""

    code = "grant_refused"
    default_hint = "Begin again; if that doesn't help, an operator looks at the integration's settings."

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final
        """Whether that very grant is good for nothing any more, whoever asks and whenever."""


class ConnectRefused(Forbidden):
    """The way back from the service was used before, took too long, or was begun in another browser."""

    code = "connect_refused"
    default_hint = "Begin again: connect the integration in the browser that you are signed in with."
