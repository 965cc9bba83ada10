"""What goes wrong with packs."""

from __future__ import annotations

from innkeeper.core.errors import Conflict, Invalid, Kind, NotFound, Problem


class InvalidPack(Invalid):
    """The pack doesn't hold: its manifest, or a file in it that can't be delivered; the message says which."""

    code = "invalid_pack"
    default_hint = "A pack is pack.toml, with `name` and `version`, beside plain files and folders of those."


class UnknownPack(NotFound):
    """No pack of that name and version has been added."""

    code = "unknown_pack"
    default_hint = "List them with `innkeeper pack list`, add one with `innkeeper pack add FOLDER`."


class PackExists(Conflict):
    """That version of the pack is there already, with another content; versions never change."""

    code = "pack_exists"
    default_hint = "Give the new content a new `version` in pack.toml."


class PackInUse(Conflict):
    """A tenant, a plan or an agent gets this version of the pack."""

    code = "pack_in_use"
    default_hint = "Take it away from them, or let them have another version, first."


class PackMissing(Problem):
    """The pack is known, but its files aren't on this host."""

    code = "pack_missing"
    kind = Kind.UNAVAILABLE
    default_hint = "Add the same version again on this host, or restore the data directory's folder `packs`."


class PackDamaged(Problem):
    """The pack's files aren't what they were when it was added; nothing of it is delivered."""

    code = "pack_damaged"
    default_hint = "Add the same version again: what is there is replaced where it doesn't match its digest."


class PacksClash(Conflict):
    """Two packs of one tenant can't be delivered together: one has a file where the other has a folder."""

    code = "packs_clash"
    default_hint = "Take one of them away from the tenant."


class HydrationUnreadable(Problem):
    """What is written down about what a tenant was delivered can't be read."""

    code = "hydration_unreadable"
    default_hint = (
        "Restore `hydration.json` in the tenant's folder from a backup, or remove it: what is missing is delivered "
        "again then, and what differs stays, with the pack's own beside it."
    )
