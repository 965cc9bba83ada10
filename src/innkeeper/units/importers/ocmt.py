"""OCMT's agent server: under its DATA_DIR a folder for each user id, which is that user's OpenClaw."""

from __future__ import annotations

from innkeeper.core.adoption import Adoption
from innkeeper.units.importers.dossier import Dossier, Source
from innkeeper.units.importers.openclaw_state import HOME, WORKSPACE, is_state, take_state
from innkeeper.units.importers.variables import settle_providers
from innkeeper.units.tar_headers import Kind

_SLEEP = {"pause_after_s": 30 * 60, "page_after_s": 35 * 60, "stop_after_s": 30 * 60 + 4 * 3600}
"""PAUSE_AFTER_MS from the last request, STOP_AFTER_MS from then on; OCMT has nothing between the two."""


def is_unit(source: Source) -> bool:
    """Whether a folder is one user's."""
    return source.has(HOME, Kind.FOLDER) or is_state(source)


def read(source: Source) -> Adoption:
    """The user's agent as it would be taken; sleeps when OCMT had it sleep."""
    dossier = Dossier(source=source, sleep=_SLEEP)
    if source.has(HOME, Kind.FOLDER):
        dossier.move("", "")
        take_state(dossier, HOME, {})
    elif is_state(source):
        take_state(dossier, "", {})
        if source.has(WORKSPACE, Kind.FOLDER):
            dossier.move(WORKSPACE, WORKSPACE)
    else:
        dossier.refusals.append("There is no OpenClaw in it: no .openclaw, no openclaw.json. Half copied?")
    settle_providers(dossier)
    dossier.notes.append(
        "OCMT's vault, integrations and users are its management server's: connect the accounts anew (`innkeeper "
        "integration`), and invite the users (`innkeeper member`)."
    )
    return dossier.adoption()
