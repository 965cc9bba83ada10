"""What goes wrong with the name server itself."""

from __future__ import annotations

from innkeeper.core.errors import Kind, Problem


class NamesListenFailed(Problem):
    """The tenants' name server can't listen on a gateway address."""

    code = "names_listen_failed"
    kind = Kind.UNAVAILABLE
    default_hint = "Run `innkeeper doctor`: it looks at the tenants' networks."
