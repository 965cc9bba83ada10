"""What goes wrong with restores."""

from __future__ import annotations

from innkeeper.core.errors import Kind, Problem


class RestoreUndone(Problem):
    """What was restored didn't become healthy, so the state before it is back."""

    code = "restore_undone"
    kind = Kind.FAILED
    default_hint = "Nothing is lost. Restore another snapshot, or mend what the message names and try again."


class RestoreStuck(Problem):
    """What was restored doesn't run, and the state before it couldn't be put back: the tenant is closed, and all of it
    is kept."""

    code = "restore_stuck"
    kind = Kind.FAILED
