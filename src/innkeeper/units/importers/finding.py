"""Which units there are in a source, and each of them read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from innkeeper.core.adoption import Adoption, Asked, Seed, without_ending
from innkeeper.core.errors import Invalid, UnknownAgent
from innkeeper.core.import_errors import SourceMissing
from innkeeper.core.ports import Agent
from innkeeper.units.importers import innkeeper_unit, marcoby, ocmt, startclaw, workforce, zeptoclaw
from innkeeper.units.importers.dossier import Source, names_in
from innkeeper.units.tar_headers import Kind
from innkeeper.units.trees import Tree

DEPTH_MAX = 8
"""How many folders with nothing beside them are gone down: `tar` of an absolute path makes those."""

_VOLUMES_DATA = "_data"


class Layout(Protocol):
    """How one system lays a unit out."""

    def is_unit(self, source: Source) -> bool: ...
    def read(self, source: Source) -> Adoption: ...


@dataclass(frozen=True, kw_only=True)
class _Layout:
    is_unit: Callable[[Source], bool]
    read: Callable[[Source], Adoption]
    agent: str = "openclaw"
    folder: str = ""
    """Where in the source the units lie, if not at its top."""


LAYOUTS: Mapping[Seed, _Layout] = {
    Seed.INNKEEPER: _Layout(is_unit=innkeeper_unit.is_unit, read=innkeeper_unit.read),
    Seed.MARCOBY: _Layout(is_unit=marcoby.is_unit, read=marcoby.read),
    Seed.OCMT: _Layout(is_unit=ocmt.is_unit, read=ocmt.read),
    Seed.ZEPTOCLAW: _Layout(is_unit=zeptoclaw.is_unit, read=zeptoclaw.read, agent="zeptoclaw", folder="tenants"),
    Seed.STARTCLAW: _Layout(is_unit=startclaw.is_unit, read=startclaw.read),
    Seed.WORKFORCE: _Layout(is_unit=workforce.is_unit, read=workforce.read),
}


def sources(tree: Tree, asked: Asked, agents: Mapping[str, Agent]) -> list[Source]:
    """The units, by their places; SourceMissing where there is none, UnknownAgent."""
    layout = LAYOUTS[asked.seed]
    whole = Source(tree=tree, top="", key=without_ending(tree.name), asked=asked, agent=_agent(asked, layout, agents))
    found = _below(layout, whole)
    if asked.only is not None:
        found = [each for each in found if each.key == asked.only]
    if not found:
        what = f"{asked.only[:60]!r}" if asked.only else f"unit of {asked.seed}'s"
        raise SourceMissing(f"There is no {what} in {asked.path or 'what was sent'}.", hint=_HINTS[asked.seed])
    if asked.name is not None and len(found) > 1:
        names = ", ".join(each.key for each in found[:5])
        raise Invalid(
            f"There are {len(found)} units in it, and one name.", field="name", hint=f"Say which by `only`: {names}."
        )
    if asked.seed is Seed.INNKEEPER and asked.agent is None:
        found = [replace(each, agent=_known(innkeeper_unit.agent_of(each) or "openclaw", agents)) for each in found]
    return found


def adoptions(found: list[Source], layout: Seed) -> list[Adoption]:
    """Each as it would be taken; two that would get one name are told."""
    read = [LAYOUTS[layout].read(source) for source in found]
    names = [each.name for each in read]
    return [
        replace(
            each, refusals=(*each.refusals, f"Another unit of the source becomes {each.name}, too: take one `--as`.")
        )
        if each.name and names.count(each.name) > 1
        else each
        for each in read
    ]


def _below(layout: _Layout, whole: Source) -> list[Source]:
    here = whole
    if layout.folder and whole.has(layout.folder, Kind.FOLDER):
        here = replace(whole, top=layout.folder)
    for _ in range(DEPTH_MAX):
        if layout.is_unit(here):
            return [here]
        children = [
            _child(here, name)
            for name in names_in(here.tree, here.top)
            if here.has(name, Kind.FOLDER) and not name.startswith(".volumes")
        ]
        units = [each for each in children if layout.is_unit(each)]
        if units or len(children) != 1:
            return units
        here = children[0]
    return []


def _child(here: Source, name: str) -> Source:
    """A folder of it; Docker keeps a volume in one called `_data`, and calls the folder above it by its name."""
    if name == _VOLUMES_DATA:
        return replace(here, top=here.at(name))
    inner = f"{name}/{_VOLUMES_DATA}"
    return replace(here, top=here.at(inner if here.has(inner, Kind.FOLDER) else name), key=name)


def _agent(asked: Asked, layout: _Layout, agents: Mapping[str, Agent]) -> Agent:
    return _known(asked.agent or layout.agent, agents)


def _known(name: str, agents: Mapping[str, Agent]) -> Agent:
    if name not in agents:
        raise UnknownAgent(
            f"There is no agent {name[:60]!r} here.",
            field="agent",
            hint=f"Say `--agent`; there are: {', '.join(agents)}.",
        )
    return agents[name]


_HINTS: Mapping[Seed, str] = {
    Seed.INNKEEPER: "An export holds NAME/innkeeper.json; for another system's layout say `--from`.",
    Seed.MARCOBY: "PATH is a folder with docker-compose.yml, .env and persistence/, or one of such folders.",
    Seed.OCMT: "PATH is the agent server's DATA_DIR, or one user's folder in it.",
    Seed.ZEPTOCLAW: "PATH is the folder with tenants/, or tenants/NAME; `--volumes` says where the volumes are.",
    Seed.STARTCLAW: "PATH is a volume's folder (~/.openclaw), or one of the nightly tarballs.",
    Seed.WORKFORCE: "PATH is TENANT_DATA_DIR, or one tenant's folder in it.",
}
