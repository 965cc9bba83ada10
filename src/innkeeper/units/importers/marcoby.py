"""Marcoby's self-contained units: a folder with docker-compose.yml, .env and persistence/, mounted at /data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from innkeeper.core.adoption import Adoption
from innkeeper.units.importers.compose_file import (
    FILES,
    NOT_TAKEN,
    UnreadableComposeError,
    dangers,
    env_files,
    environment,
    filled_in,
    limits,
    read_compose,
)
from innkeeper.units.importers.dossier import Dossier, Source
from innkeeper.units.importers.dotenv_file import read_env
from innkeeper.units.importers.marcoby_data import PERSISTENCE, take_data
from innkeeper.units.importers.openclaw_state import take_state
from innkeeper.units.importers.variables import adopt_variables, settle_providers
from innkeeper.units.tar_headers import Kind
from innkeeper.units.trees import is_read

ENV = ".env"
_KNOWN = ("openclaw", "clawdbot", "marcoby")
"""What the images are called that run OpenClaw."""
Service = Mapping[str, Any]


def is_unit(source: Source) -> bool:
    """Whether a folder is one of them, or what is left of one."""
    return source.has(PERSISTENCE, Kind.FOLDER) or any(source.has(name, Kind.FILE) for name in FILES)


def read(source: Source) -> Adoption:
    """The unit as it would be taken."""
    dossier = Dossier(source=source)
    said = _env(dossier)
    service, given = _agents_service(dossier, said), _Given()
    if service is not None:
        given = _given(dossier, service, said)
        dossier.put_limits(*limits(service), where="The compose file")
    elif not _compose_files(source):
        dossier.lacks("docker-compose.yml", "what it says of limits, variables and mounts")
    values = {**said, **given.values}
    home = take_data(dossier, service, given.values)
    adopt_variables(
        dossier,
        values,
        ENV,
        given=given.values if service else None,
        used=take_state(dossier, home, values) if home is not None else (),
        places=given.places,
    )
    settle_providers(dossier)
    for name in (*FILES, ENV):
        if source.has(name):
            dossier.move(name, None, "Innkeeper writes its own")
    return dossier.adoption()


@dataclass(frozen=True, kw_only=True)
class _Given:
    """The variables that the agent was given."""

    values: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    """Where each was said, if not in `.env`."""


def _compose_files(source: Source) -> list[str]:
    return [name for name in FILES if source.has(name, Kind.FILE)]


def _env(dossier: Dossier) -> dict[str, str]:
    if not dossier.source.has(ENV):
        dossier.notes.append("There is no .env: keys that were in it have to be set with `innkeeper secret set`.")
        return {}
    return _read(dossier, ENV)


def _read(dossier: Dossier, path: str) -> dict[str, str]:
    content = dossier.source.read(path)
    if content is None:
        dossier.refusals.append(f"{path[:120]} is no file of variables that can be read.")
        return {}
    read = read_env(content, path)
    dossier.refusals += read.faults
    return read.values


def _agents_service(dossier: Dossier, said: Mapping[str, str]) -> Service | None:
    source = dossier.source
    found = _compose_files(source)
    if not found:
        return None
    try:
        compose = read_compose(source.read(found[0]) or b"", found[0], {"PWD": ".", **said})
    except UnreadableComposeError as error:
        dossier.refusals.append(str(error))
        return None
    dossier.refusals += [f"{found[0]} has `{key}`: its other files aren't read." for key in compose.other]
    for name, service in compose.services.items():
        dossier.refusals += dangers(name, service, compose.of_host)
    ours = next((name for name, service in compose.services.items() if _runs_openclaw(name, service)), None)
    if ours is None and (ours := _only(dossier, compose.services)) is None:
        return None
    for other in compose.services:
        if other != ours:
            image = str(compose.services[other].get("image") or "built from source")[:80]
            dossier.may_be_left_out(f"Service {other} ({image}) isn't the agent, and isn't taken over.")
    return compose.services[ours]


def _runs_openclaw(name: str, service: Service) -> bool:
    told = f"{name} {service.get('image') or ''} {' '.join(environment(service))}".lower()
    return any(known in told for known in _KNOWN)


def _only(dossier: Dossier, services: Mapping[str, Service]) -> str | None:
    """The one service there is, if somebody has said what it runs."""
    if len(services) == 1 and dossier.source.asked.agent is not None:
        return next(iter(services))
    listed = ", ".join(
        f"{name} ({str(each.get('image') or 'built')[:80]})" for name, each in list(services.items())[:5]
    )
    dossier.refusals.append(
        f"None of the services runs an image that is known: {listed}. If it is one agent, say which: `--agent NAME`."
    )
    return None


def _given(dossier: Dossier, service: Service, said: Mapping[str, str]) -> _Given:
    values: dict[str, str] = {}
    places: dict[str, str] = {}
    for path, has_to_be in env_files(service):
        found = _of_file(dossier, path, said, has_to_be=has_to_be)
        values |= found
        places |= dict.fromkeys(found, path.removeprefix("./"))
    for name, written in environment(service).items():
        value, lacking = filled_in(written if written is not None else f"${{{name}}}", said)
        if lacking:
            dossier.notes.append(
                f"{name} is made of {', '.join(lacking)}, which .env doesn't set: it is taken as empty."
            )
        values[name] = value
        places[name] = ENV if said.get(name) == value else "the compose file"
    taken = [key for key in NOT_TAKEN if service.get(key)]
    if taken:
        dossier.notes.append(f"Not taken over, for Innkeeper has its own: {', '.join(taken)}.")
    return _Given(values=values, places=places)


def _of_file(dossier: Dossier, path: str, said: Mapping[str, str], *, has_to_be: bool) -> Mapping[str, str]:
    """What a file of variables sets, if it lies in the unit."""
    clean = "/".join(part for part in path.split("/") if part not in ("", "."))
    if clean == ENV:
        return said
    if path.startswith(("/", "~")) or ".." in clean.split("/"):
        dossier.refusals.append(f"`env_file: {path[:80]}` isn't in the unit's folder: copy it there, and say so.")
        return {}
    if not dossier.source.has(clean):
        if has_to_be:
            dossier.lacks(clean, "the variables in it")
        return {}
    if not is_read(clean.rpartition("/")[2]):
        dossier.refusals.append(
            f"`env_file: {path[:80]}`: it can be read if it is called like agent.env or .env.agent."
        )
        return {}
    dossier.move(clean, None, "read for its variables")
    return _read(dossier, clean)
