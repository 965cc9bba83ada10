"""StartClaw's volumes, and the tarballs that it makes of them each night: ~/.openclaw with config/ and state/ apart."""

from __future__ import annotations

from innkeeper.core.adoption import Adoption
from innkeeper.units.importers.dossier import Dossier, Source
from innkeeper.units.importers.openclaw_state import HOME, WORKSPACE, is_state, take_state
from innkeeper.units.importers.variables import settle_providers
from innkeeper.units.tar_headers import Kind

_STATE = "state"


def is_unit(source: Source) -> bool:
    """Whether a folder is such a volume, or the home that it is mounted into."""
    return source.has(HOME, Kind.FOLDER) or is_state(source) or source.has("config", Kind.FOLDER)


def read(source: Source) -> Adoption:
    """The volume as it would be taken: each of its four parts goes to where OpenClaw looks for it here."""
    dossier = Dossier(source=source)
    home = HOME if source.has(HOME, Kind.FOLDER) else ""
    if home:
        dossier.move("", "")
    take_state(dossier, home, {})
    if source.has(_in(home, WORKSPACE), Kind.FOLDER):
        dossier.move(_in(home, WORKSPACE), WORKSPACE)
    _sessions(dossier, home)
    if source.has(_in(home, "credentials"), Kind.FOLDER):
        dossier.notes.append("credentials/ goes along as it is: what is encrypted there only OpenClaw can read.")
    for part, lost in (("config/openclaw.json", "its settings and keys"), (WORKSPACE, "the user's files")):
        if not source.has(_in(home, part)) and not (part.endswith(".json") and source.has(_in(home, "openclaw.json"))):
            dossier.lacks(part, lost)
    settle_providers(dossier)
    dossier.notes.append("StartClaw gives it 512 MB, with which OpenClaw doesn't run: it gets the default here.")
    return dossier.adoption()


def _sessions(dossier: Dossier, home: str) -> None:
    """`state/` holds the sessions' history: a whole state folder, the one agent's sessions, or OpenClaw's own."""
    source, state = dossier.source, _in(home, _STATE)
    if source.has(f"{state}/agents", Kind.FOLDER):
        dossier.move(state, HOME)
    elif source.has(f"{state}/sessions", Kind.FOLDER):
        dossier.move(state, f"{HOME}/state")
        dossier.move(f"{state}/sessions", f"{HOME}/agents/main/sessions")
    elif any(name.endswith(".jsonl") or name == "sessions.json" for name in source.names(state)):
        dossier.move(state, f"{HOME}/agents/main/sessions")


def _in(home: str, part: str) -> str:
    return f"{home}/{part}" if home else part
