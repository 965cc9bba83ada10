"""Marcoby's self-contained units: a folder with docker-compose.yml, .env and persistence/, mounted at /data."""

from __future__ import annotations

from collections.abc import Mapping
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
    mounts,
    read_compose,
)
from innkeeper.units.importers.dossier import Dossier, Source
from innkeeper.units.importers.dotenv_file import read_env
from innkeeper.units.importers.openclaw_state import HOME, take_state
from innkeeper.units.importers.variables import adopt_variables, settle_providers
from innkeeper.units.tar_headers import Kind

PERSISTENCE, INSIDE = "persistence", "/data"
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
    service = _agents_service(dossier)
    given: dict[str, str] = {}
    if service is not None:
        given = _given(dossier, service, said)
        dossier.put_limits(*limits(service), where="The compose file")
    else:
        dossier.lacks("docker-compose.yml", "what it says of limits, variables and mounts")
    _data(dossier, service, said)
    values = {**said, **given}
    used = (
        take_state(dossier, f"{PERSISTENCE}/{HOME}", values)
        if source.has(f"{PERSISTENCE}/{HOME}", Kind.FOLDER)
        else set()
    )
    adopt_variables(
        dossier, values, ".env" if said else "the compose file", given=given if service else None, used=used
    )
    settle_providers(dossier)
    for name in (*FILES, ".env"):
        if source.has(name):
            dossier.move(name, None, "Innkeeper writes its own")
    return dossier.adoption()


def _env(dossier: Dossier) -> dict[str, str]:
    content = dossier.source.read(".env")
    if content is None:
        if dossier.source.has(".env"):
            dossier.refusals.append(".env is no file that can be read.")
        else:
            dossier.notes.append("There is no .env: keys that were in it have to be set with `innkeeper secret set`.")
        return {}
    read = read_env(content, ".env")
    dossier.refusals += read.faults
    return read.values


def _agents_service(dossier: Dossier) -> Service | None:
    source = dossier.source
    found = [name for name in FILES if source.has(name, Kind.FILE)]
    if not found:
        return None
    try:
        compose = read_compose(source.read(found[0]) or b"", found[0])
    except UnreadableComposeError as error:
        dossier.refusals.append(str(error))
        return None
    dossier.refusals += [f"{found[0]} has `{key}`: its other files aren't read." for key in compose.other]
    for name, service in compose.services.items():
        dossier.refusals += dangers(name, service)
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


def _given(dossier: Dossier, service: Service, said: Mapping[str, str]) -> dict[str, str]:
    """The variables that the agent was given."""
    given: dict[str, str] = {}
    for path in env_files(service):
        clean = path.removeprefix("./")
        if clean == ".env":
            given |= said
        else:
            dossier.refusals.append(f"`env_file: {path[:80]}`: only .env beside the compose file is read.")
    for name, written in environment(service).items():
        value, lacking = filled_in(written if written is not None else f"${{{name}}}", said)
        if lacking:
            dossier.notes.append(
                f"{name} is made of {', '.join(lacking)}, which .env doesn't set: it is taken as empty."
            )
        given[name] = value
    taken = [key for key in NOT_TAKEN if service.get(key)]
    if taken:
        dossier.notes.append(f"Not taken over, for Innkeeper has its own: {', '.join(taken)}.")
    return given


def _data(dossier: Dossier, service: Service | None, said: Mapping[str, str]) -> None:
    """What is mounted at /data or below it becomes the tenant's persistence."""
    source = dossier.source
    there = [(PERSISTENCE, INSIDE)] if service is None else []
    for raw, target in mounts(service or {}):
        path, lacking = filled_in(raw, said)
        inside = target.rstrip("/").split(":")[0]
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if "docker.sock" in path:
            continue  # refused already
        is_ours = path.startswith(".") and ".." not in parts and parts and not lacking
        if is_ours and (inside == INSIDE or inside.startswith(f"{INSIDE}/")):
            there.append(("/".join(parts), inside))
        else:
            dossier.may_be_left_out(
                f"Mount {raw[:120] or 'without a source'} at {inside[:120]} isn't in the unit's folder."
            )
    if service is not None and not there:
        dossier.refusals.append("Nothing of the folder is mounted at /data: where its data lie isn't known.")
    for path, inside in there:
        if source.has(path, Kind.FOLDER):
            dossier.move(path, inside[len(INSIDE) :].lstrip("/"))
        else:
            dossier.lacks(path, "its data: it begins empty")
