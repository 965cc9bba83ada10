"""What can be wrong with what is brought from elsewhere."""

from __future__ import annotations

from innkeeper.core.errors import Conflict, Forbidden, Invalid, NotFound, TooLarge, UnitFault


class ArchiveRefused(Invalid):
    """An archive holds something that is never unpacked; the message names it."""

    code = "archive_refused"
    default_hint = "Nothing was unpacked. Unpack it yourself where it can do no harm, look, and import the folder."


class ArchiveDamaged(Invalid):
    """An archive is no tar, or only a part of one."""

    code = "archive_damaged"
    default_hint = "Nothing was taken from it. Copy or export it again."


class ImportTooLarge(TooLarge):
    """A source has more in it than an import may take."""

    code = "import_too_large"


class ImportRefused(Conflict):
    """A source can't be taken as it stands; the message names what is in the way."""

    code = "import_refused"
    default_hint = "`--dry-run` lists all that is in the way. Nothing was changed."


class SourceMissing(NotFound):
    """There is nothing at that path, or not what was said to be there."""

    code = "source_missing"


class SourceForbidden(Forbidden):
    """That path is none to import from."""

    code = "source_forbidden"


class StagedLost(UnitFault):
    """The folder that an import had made ready was taken away before it was in its place."""

    code = "staged_lost"
    default_hint = "There is no such tenant now, and its name is free. The source is as it was: import it again."
