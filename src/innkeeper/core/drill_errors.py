"""What goes wrong with drills."""

from __future__ import annotations

from innkeeper.core.errors import NotFound, Problem


class DrillFailed(Problem):
    """A snapshot couldn't be brought up, or what came up isn't whole: a restore of it would go wrong, too."""

    code = "drill_failed"
    default_hint = "Take a new backup, run `innkeeper drill run NAME` on it, and keep this snapshot for a look at it."


class NothingToDrill(NotFound):
    """The tenant has no snapshot yet, or none that begins with what was named."""

    code = "nothing_to_drill"
    default_hint = "List its snapshots with `innkeeper backup list NAME`."
