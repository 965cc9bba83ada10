"""What goes wrong with snapshots and the places where they lie."""

from __future__ import annotations

from innkeeper.core.errors import Conflict, Kind, NotFound, Problem


class BackupToolMissing(Problem):
    """restic, or bubblewrap, in which it runs, isn't on this host."""

    code = "backup_tool_missing"
    kind = Kind.UNAVAILABLE
    default_hint = "Install both: `apt-get install restic bubblewrap`. `innkeeper doctor` says what is missing."


class BackupFailed(Problem):
    """A snapshot could not be taken, read or removed, for a reason that has no code of its own."""

    code = "backup_failed"
    kind = Kind.FAILED


class TargetUnknown(NotFound):
    """No target of backups has that name."""

    code = "unknown_target"
    default_hint = "There are `local` and `remote`; set INNKEEPER_BACKUP_LOCAL or INNKEEPER_BACKUP_REMOTE."


class TargetUnreachable(Problem):
    """The target doesn't answer, or has stopped answering."""

    code = "target_unreachable"
    kind = Kind.UNAVAILABLE
    default_hint = "It is tried again by itself. See whether the target runs and can be reached from this host."


class TargetFull(Problem):
    """The target takes no more."""

    code = "target_full"
    kind = Kind.UNAVAILABLE
    default_hint = "Make room there, or keep fewer snapshots; it is tried again by itself."


class TargetRefused(Problem):
    """The target doesn't let us in, or the repository there isn't of the tenant's key."""

    code = "target_refused"
    kind = Kind.UNAVAILABLE
    default_hint = "Look at INNKEEPER_BACKUP_CREDENTIALS, and whether the keyring is the one that it was made with."


class RepositoryLocked(Conflict):
    """Somebody else works on the repository."""

    code = "repository_locked"
    default_hint = "It is tried again by itself; a lock that a dead process has left is removed then."


class SnapshotMissing(NotFound):
    """There is no such snapshot, no such path in it, or no repository at all."""

    code = "snapshot_missing"
    default_hint = "List the snapshots with `innkeeper backup list NAME`."


class SnapshotDamaged(Problem):
    """What is kept isn't what was written: a snapshot, or the repository that holds it."""

    code = "snapshot_damaged"
    default_hint = (
        "The next backup mends what it can; `innkeeper backup repair NAME` does so now. See to the target's disk."
    )
