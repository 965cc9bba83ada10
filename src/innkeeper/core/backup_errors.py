"""What goes wrong with backups beside what goes wrong with their targets."""

from __future__ import annotations

from innkeeper.core.errors import Conflict, NotFound


class BackupsOff(Conflict):
    """No target is set, so there is nowhere to put a snapshot."""

    code = "backups_off"
    default_hint = "Set INNKEEPER_BACKUP_LOCAL or INNKEEPER_BACKUP_REMOTE."


class NothingToSave(Conflict):
    """The tenant was never started, so there is no data of it yet."""

    code = "nothing_to_save"
    default_hint = "Start it first: innkeeper tenant wake NAME. Backups by schedule leave it out until then."


class UnknownSnapshot(NotFound):
    """There is no such snapshot of that tenant."""

    code = "unknown_snapshot"
    default_hint = "List them with `innkeeper backup list NAME`."
