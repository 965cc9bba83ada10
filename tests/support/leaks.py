"""Looks for secrets wherever an installation could have left one: what each place holds, and which secrets are in it.

Places are named as in the table of a test: `file:PATH` within the data directory, `argv:PROGRAM`, `environ:WHO`,
`inspect:TENANT`, `container-log:TENANT`, `api:PATH`, `caddy:config`, and whatever the test adds of its own.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import stat
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import quote, quote_plus

import aiodocker
import httpx2

from innkeeper.edge.caddy_admin import listener_pid
from tests.support.installation import Installation

SHORTEST = 12
"""Secrets to look for have so many characters at least: by then nothing is found by chance."""
STREAMS = frozenset({"/v1/events", "/v1/tenants/{name}/events"})
"""Have no end: a test listens to them for itself."""

Places = Mapping[str, bytes]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of secret, and the places where it has to be: anywhere else it is a leak."""

    name: str
    at_home: Sequence[str] = ()
    """Patterns of places; files among them must be closed to everybody but their owner."""
    binary: bool = False
    """Whether it is bytes, and what is planted their base64: looked for as they are and in hexadecimal, too."""


def leaks(kinds: Sequence[Kind], secrets: Mapping[str, str], places: Places) -> list[str]:
    """Each place that holds a secret which isn't at home there, in words."""
    found = []
    for kind in kinds:
        forms = _forms(secrets[kind.name], binary=kind.binary)
        for place, content in places.items():
            if any(fnmatchcase(place, home) for home in kind.at_home):
                continue
            for how, form in forms.items():
                if (at := content.find(form)) >= 0:
                    around = content[max(0, at - 60) : at] + b" >>>HERE<<< " + content[at + len(form) :][:40]
                    found.append(f"{kind.name} ({how}) in {place}: {around!r}")
                    break
    return found


def open_homes(kinds: Sequence[Kind], data: Path) -> list[str]:
    """Files that may hold a secret, and that others than their owner may read."""
    homes = [home.removeprefix("file:") for kind in kinds for home in kind.at_home if home.startswith("file:")]
    return [
        str(path)
        for path in _files(data)
        if any(fnmatchcase(str(path.relative_to(data)), home) for home in homes) and _readable_by_others(path, data)
    ]


def _readable_by_others(path: Path, data: Path) -> bool:
    """Whether nothing on the way there, nor the file itself, keeps others out."""
    on_the_way = [path, *(folder for folder in path.parents if folder == data or data in folder.parents)]
    return all(stat.S_IMODE(each.stat().st_mode) & 0o007 for each in on_the_way)


def _forms(secret: str, *, binary: bool = False) -> dict[str, bytes]:
    assert len(secret) >= SHORTEST, "too short to look for"
    raw, in_json = secret.encode(), json.dumps(secret)[1:-1]
    forms = {
        "as it is": raw,
        "in JSON": in_json.encode(),
        "in PHP's JSON": in_json.replace("/", "\\/").encode(),
        "in JSON in JSON": json.dumps(in_json)[1:-1].encode(),
        "in a URL": quote(secret, safe="").encode(),
        "in a path": quote(secret).encode(),
        "in a query": quote_plus(secret).encode(),
        "in Python": repr(secret)[1:-1].encode(),
    }
    if binary:
        raw = base64.b64decode(secret)
        forms |= {"as bytes": raw, "in hexadecimal": raw.hex().encode()}
    for before in range(3):  # within something longer it has one of three forms
        whole = base64.b64encode(bytes(before) + raw).rstrip(b"=")
        inner = whole[(0, 2, 3)[before] : (before + len(raw)) * 8 // 6]
        forms[f"in base64, {before}"] = inner
        forms[f"in base64 for URLs, {before}"] = inner.replace(b"+", b"-").replace(b"/", b"_")
    return forms


# --- places -----------------------------------------------------------------------------------------------------------


async def everywhere(inn: Installation, docker: aiodocker.Docker, names: Mapping[str, Sequence[str]]) -> Places:
    """All places at this moment. `names` fills in the API's paths: parameter to values."""
    places = dict(_read(inn.data))
    shown = await inn.containers(docker)
    for each in shown:
        tenant = each["Config"]["Labels"]["innkeeper.tenant"]
        places[f"inspect:{tenant}"] = json.dumps(each).encode()
        lines = await docker.containers.container(each["Id"]).log(stdout=True, stderr=True)
        places[f"container-log:{tenant}"] = "".join(lines).encode()
    places |= dict(_processes(inn, {each["Id"]: each["Config"]["Labels"]["innkeeper.tenant"] for each in shown}))
    places |= {place: content async for place, content in _api(inn, names)}
    transport = httpx2.AsyncHTTPTransport(uds=str(inn.data / "run/caddy-admin.sock"), verify=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as caddy:
        places["caddy:config"] = (await caddy.get("/config/")).content
    return places


def _files(folder: Path) -> Iterator[Path]:
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root, name)
            with suppress(OSError):
                if stat.S_ISREG(path.lstat().st_mode):
                    yield path


def _read(data: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of the data directory: database and its log, the parts' logs, Caddy's own files, tenants' folders."""
    for path in _files(data):
        with suppress(OSError):  # it went just now
            yield f"file:{path.relative_to(data)}", path.read_bytes()


def _processes(inn: Installation, containers: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """Arguments of all processes of this machine, and the environments of ours."""
    assert inn.process is not None
    ours = {inn.process.pid: "control-plane", listener_pid(inn.data / "run/caddy-admin.sock"): "caddy"}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with suppress(OSError):  # it ended just now
            pid, program = int(folder.name), (folder / "comm").read_text().strip()
            yield f"argv:{program} {pid}", (folder / "cmdline").read_bytes()
            group = (folder / "cgroup").read_text()
            tenant = next((f"agent/{name}" for id_, name in containers.items() if id_ in group), None)
            if who := ours.get(pid) or tenant:
                yield f"environ:{who} {pid}", (folder / "environ").read_bytes()


async def _api(inn: Installation, names: Mapping[str, Sequence[str]]) -> AsyncIterator[tuple[str, bytes]]:
    """What every GET of the API answers the admin; a path whose parameter nobody has filled in is a fault."""
    async with inn.api() as api, asyncio.timeout(120):
        described = (await api.get("/openapi.json")).json()
        for path, methods in described["paths"].items():
            if "get" not in methods or path in STREAMS:
                continue
            for filled in _filled(path, names):
                yield f"api:{filled}", (await api.get(filled)).content
        yield "api:/openapi.json", json.dumps(described).encode()


def _filled(path: str, names: Mapping[str, Sequence[str]]) -> list[str]:
    paths = [path]
    for part in path.split("/"):
        if part.startswith("{"):
            paths = [each.replace(part, value) for each in paths for value in names[part.strip("{}")]]
    return paths
