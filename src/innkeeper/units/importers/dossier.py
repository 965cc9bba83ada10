"""What is gathered about one unit while its layout is read, until it is an Adoption."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from innkeeper.core.adoption import Adoption, Asked, Becomes, Move, Value, name_from
from innkeeper.core.import_errors import SourceMissing
from innkeeper.core.openings import InboxPath
from innkeeper.core.ports import Agent
from innkeeper.core.references import names_secret
from innkeeper.core.secrets import NAME as SECRET_NAME
from innkeeper.core.secrets import VALUE_MAX_BYTES
from innkeeper.core.specs import LimitsPatch, SpecPatch
from innkeeper.units.entry_table import Entry
from innkeeper.units.importers.providers import Provider
from innkeeper.units.pouring import placed
from innkeeper.units.tar_headers import Kind
from innkeeper.units.trees import Tree

_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Source:
    """One unit of a source, which may have several."""

    tree: Tree
    top: str
    """Where in the tree it lies; "": it is all of it."""
    key: str
    """What it is called there."""
    asked: Asked
    agent: Agent

    def at(self, path: str) -> str:
        """A path of the unit's as one of the tree's."""
        return "/".join(part for part in (self.top, path) if part)

    def has(self, path: str, *kinds: Kind) -> bool:
        """Whether there is something at a path of the unit's, of one of those kinds if any are given."""
        entry = self.tree.entries.get(self.at(path))
        return entry is not None and (not kinds or entry.kind in kinds)

    def read(self, path: str) -> bytes | None:
        """A small file of the unit's."""
        return self.tree.read(self.at(path))

    def names(self, path: str = "") -> list[str]:
        """What lies directly in a folder of the unit's."""
        return names_in(self.tree, self.at(path))


def names_in(tree: Tree, path: str) -> list[str]:
    """What lies directly in a folder of the tree."""
    start = f"{path}/" if path else ""
    return sorted({each[len(start) :].split("/", 1)[0] for each in tree.entries if each.startswith(start)})


@dataclass(kw_only=True)
class Dossier:
    """Filled by an importer, in the order in which it reads."""

    source: Source
    limits: LimitsPatch | None = None
    sleep: Mapping[str, Any] | None = None
    env: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    inbox: list[InboxPath] = field(default_factory=list)
    providers: dict[str, Provider] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)
    written: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    def move(self, path: str, target: str | None, why: str = "") -> None:
        """Have what lies at a path of the unit's, with all below it, go to `target`; the longest path decides."""
        self.moves.append(Move(source=self.source.at(path), target=target, why=why))

    def move_in_tree(self, path: str, target: str | None, why: str = "") -> None:
        """The same for a path that lies outside of the unit's own folder."""
        self.moves.append(Move(source=path, target=target, why=why))

    def tell(self, name: str, source: str, becomes: Becomes, target: str = "", why: str = "") -> None:
        """Say what becomes of a value."""
        self.values.append(Value(name=name, source=source, becomes=becomes, target=target, why=why))

    def secret(self, name: str, value: str, source: str, *, why: str, called: str | None = None) -> str:
        """Put a value into the vault; what it is called there. The same value isn't kept twice."""
        wanted = (called or name)[:120]
        if not SECRET_NAME.fullmatch(wanted):
            wanted = "".join(each if each.isalnum() and each.isascii() else "_" for each in wanted) or "SECRET"
            wanted = wanted if SECRET_NAME.fullmatch(wanted) else f"_{wanted}"
        number, kept = 1, wanted
        while kept in self.secrets and self.secrets[kept] != value:
            number += 1
            kept = f"{wanted}_{number}"
        if len(value.encode()) > VALUE_MAX_BYTES:
            self.refusals.append(
                f"{name} in {source} has more than {VALUE_MAX_BYTES >> 10} KiB, too much for a secret."
            )
        self.secrets[kept] = value
        self.tell(name, source, Becomes.SECRET, kept, why)
        return kept

    def secrets_out_of(self, node: Any, where: str, path: tuple[str, ...] = ()) -> None:
        """Put a config's credentials into the vault, and have it lack them: one that nobody reads any more."""
        for key in list(node) if isinstance(node, dict) else ():
            below = (*path, str(key))
            if isinstance(node[key], str) and node[key] and names_secret(str(key)):
                called = "_".join(below).upper()
                self.secret(".".join(below), node.pop(key), where, why="nothing refers to it yet", called=called)
            else:
                self.secrets_out_of(node[key], where, below)
        for each in node if isinstance(node, list) else ():
            self.secrets_out_of(each, where, path)

    def set_config(self, path: tuple[str, ...], value: Any) -> None:
        """Lay a value over the agent's own config, by the tenant's spec."""
        here = self.config
        for key in path[:-1]:
            here = here.setdefault(key, {})
        here[path[-1]] = value

    def lacks(self, part: str, lost: str) -> None:
        """Something of the unit isn't there: half copied, unless somebody says that it is all there is."""
        where = self.source.top or "The source"
        if self.source.asked.partial:
            self.notes.append(f"{where} has no {part}: it is taken without {lost}.")
        else:
            self.refusals.append(f"{where} has no {part}: half copied? `--partial` takes it without {lost}.")

    def may_be_left_out(self, says: str) -> None:
        """Something is there that a tenant can't have: refused, unless somebody says that it isn't needed."""
        if self.source.asked.leave_out:
            self.notes.append(f"{says} Left out.")
        else:
            self.refusals.append(f"{says} `--leave-out` goes without it.")

    def put_limits(self, memory_mb: int | None, cpus: float | None, where: str) -> None:
        """Take over what an instance may use, as far as the agent lives with it."""
        agent = self.source.agent
        if memory_mb is not None and memory_mb < agent.limits.memory_mb:
            self.notes.append(
                f"{where} gives it {memory_mb} MB; {agent.title} gets {agent.limits.memory_mb} MB, its default here."
                if memory_mb < agent.floor_mb
                else f"{where} gives it {memory_mb} MB, which is kept; the default here is {agent.limits.memory_mb} MB."
            )
            memory_mb = memory_mb if memory_mb >= agent.floor_mb else None
        if memory_mb is not None or cpus is not None:
            self.limits = LimitsPatch(memory_mb=memory_mb, cpus=cpus)

    def adoption(self) -> Adoption:
        """All of it as it would be taken."""
        source = self.source
        name = source.asked.name or name_from(source.key)
        if not name:
            self.refusals.append(f"No tenant's name can be made of {source.key[:60]!r}: say one with `--as NAME`.")
        elif source.asked.name is None and name != source.key:
            self.notes.append(f"{source.key[:80]!r} can't be a tenant's name as it is: it becomes {name}.")
        uses = {name: each.spec() for name, each in self.providers.items()}
        patch = SpecPatch(
            release=source.asked.release,
            limits=self.limits,
            sleep=self.sleep,
            env=self.env or None,
            config=self.config or None,
            inbox=tuple(self.inbox) or None,
            uses={"providers": uses} if uses else None,
        )
        return Adoption(
            key=source.key,
            name=name,
            agent=source.agent.name,
            patch=patch,
            moves=(*self._counted(), *self._left_behind()),
            values=tuple(self.values),
            secrets=dict(self.secrets),
            written=dict(self.written),
            notes=tuple(dict.fromkeys((*self.notes, *self._links()))),
            refusals=tuple(dict.fromkeys((*self.refusals, *self._doubles()))),
        )

    def _below(self) -> Iterator[tuple[str, Entry]]:
        top, targets = self.source.top, {move.source: move.target for move in self.moves}
        for path, entry in self.source.tree.entries.items():
            if not top or path == top or path.startswith(f"{top}/") or _mover(path, targets) is not None:
                yield path, entry

    def _counted(self) -> list[Move]:
        """The moves with how much goes by each, without those by which nothing does."""
        targets = {move.source: move.target for move in self.moves}
        files, sizes = dict.fromkeys(targets, 0), dict.fromkeys(targets, 0)
        for path, entry in self.source.tree.entries.items():
            if entry.kind is Kind.FOLDER or (by := _mover(path, targets)) is None:
                continue
            files[by] += 1
            sizes[by] += entry.size if entry.kind is Kind.FILE else 0
        return [
            Move(
                source=each.source, target=each.target, files=files[each.source], bytes=sizes[each.source], why=each.why
            )
            for each in self.moves
            if files[each.source] or each.target is not None
        ]

    def _left_behind(self) -> list[Move]:
        """What no move takes, folder by folder as far up as that says it."""
        targets = {move.source: move.target for move in self.moves}
        found: dict[str, list[int]] = {}
        for path, entry in self._below():
            if entry.kind is Kind.FOLDER or _mover(path, targets) is not None:
                continue
            start = f"{self.source.top}/" if self.source.top else ""
            group = start + path[len(start) :].split("/", 1)[0]
            found.setdefault(group, [0, 0])
            found[group][0] += 1
            found[group][1] += entry.size
        why = "no part of this layout"
        return [Move(source=path, target=None, files=n, bytes=size, why=why) for path, (n, size) in found.items()]

    def _links(self) -> list[str]:
        """Links are copied as they stand; whoever moves a unit has to know where they lead."""
        targets = {move.source: move.target for move in self.moves}
        out = [
            path
            for path, entry in self._below()
            if entry.kind is Kind.LINK and leads_out(path, entry.target) and placed(path, targets) is not None
        ]
        left = [
            path for path in self.source.tree.left_out if not self.source.top or path.startswith(f"{self.source.top}/")
        ]
        notes = []
        if out:
            notes.append(f"Links that lead out of the unit are kept as they stand ({len(out)}): {_some(out)}.")
        if left:
            notes.append(f"Sockets and FIFOs, which hold no data, are left out ({len(left)}): {_some(left)}.")
        return notes

    def _doubles(self) -> list[str]:
        """Two files that would become one."""
        targets = {move.source: move.target for move in self.moves}
        seen: dict[str, str] = dict.fromkeys(self.written, "what is written anew")
        if not seen and sum(target is not None for target in targets.values()) < 2:
            return []  # one folder that goes to one place
        for path, entry in self.source.tree.entries.items():
            if entry.kind is Kind.FOLDER or not (target := placed(path, targets)):
                continue
            if (other := seen.setdefault(target, path)) != path:
                return [f"{other[:200]!r} and {path[:200]!r} would both become {target[:200]!r}."]
        return []


def _mover(path: str, targets: Mapping[str, str | None]) -> str | None:
    above = path
    while above not in targets:
        if not above:
            return None
        above = above.rpartition("/")[0]
    return above


def leads_out(path: str, target: str) -> bool:
    """Whether a link at `path` leads out of the tree by its text."""
    if target.startswith("/"):
        return True
    depth = path.count("/")
    for part in target.split("/"):
        depth += -1 if part == ".." else part not in ("", ".")
        if depth < 0:
            return True
    return False


def _some(paths: Collection[str]) -> str:
    shown = ", ".join(ascii(path)[1:121][:-1] for path in sorted(paths)[:_NAMED])
    return shown + (" …" if len(paths) > _NAMED else "")


def missing(what: str, where: str) -> SourceMissing:
    """The layout isn't there."""
    return SourceMissing(f"{where} has no {what}.", hint="Say whose layout it is with `--from`, and where with PATH.")
