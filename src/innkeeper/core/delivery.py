"""What a tenant was last delivered, kept in its own folder so that it goes wherever that goes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from innkeeper.core.merging import Act, Item, Last
from innkeeper.core.pack_errors import HydrationUnreadable
from innkeeper.core.packs import Content

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Received:
    """The version of a pack that a tenant has."""

    version: str
    digest: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Dispute:
    """A file that both the tenant and its pack have changed, and nobody has settled yet."""

    beside: str | None
    """Where the pack's own lies; None: there was no place for it."""
    content: Content
    pack: str
    version: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """All that a tenant was delivered."""

    packs: Mapping[str, Received] = field(default_factory=dict)
    files: Mapping[str, Last] = field(default_factory=dict)
    """By path within the tenant's data; those that the tenant has deleted among them."""
    conflicts: Mapping[str, Dispute] = field(default_factory=dict)

    def leaving(self, items: Sequence[Item]) -> Delivery:
        """The same, with the removals written down that are about to be made."""
        going = {item.path for item in items if item.act is Act.REMOVE}
        files = {path: replace(last, leaving=True) if path in going else last for path, last in self.files.items()}
        return replace(self, files=files)

    def after(
        self, items: Sequence[Item], received: Mapping[str, Received], besides: Mapping[str, str | None], at: datetime
    ) -> Delivery:
        """The same once the items are done; `besides` says where new versions went that found no place."""
        files, conflicts = dict(self.files), dict(self.conflicts)
        for item in items:
            last = files.pop(item.path, None)
            if item.new is not None:
                files[item.path] = Last(content=item.new, pack=item.pack)
            elif item.act is Act.GONE and last is not None and not last.leaving:
                files[item.path] = last  # so that it stays deleted, should the pack have it again
            if item.act is Act.BESIDE and item.new is not None:
                conflicts[item.path] = Dispute(
                    beside=besides.get(item.path),
                    content=item.new,
                    pack=item.pack,
                    version=received[item.pack].version,
                    at=at,
                )
            elif item.act is not Act.KEEP:
                conflicts.pop(item.path, None)
        return Delivery(packs={**self.packs, **received}, files=files, conflicts=conflicts)


def dumped(delivery: Delivery) -> bytes:
    """As it is kept."""
    document = {
        "format": FORMAT,
        "packs": {name: {**asdict(each), "at": each.at.isoformat()} for name, each in delivery.packs.items()},
        "files": {path: _file(last) for path, last in sorted(delivery.files.items())},
        "conflicts": {
            path: {**asdict(each), "content": list(each.content), "at": each.at.isoformat()}
            for path, each in sorted(delivery.conflicts.items())
        },
    }
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def delivery_of(kept: bytes) -> Delivery:
    """What was kept so; raises HydrationUnreadable."""
    try:
        document = json.loads(kept)
        if document["format"] != FORMAT:
            raise HydrationUnreadable(f"hydration.json is of format {document['format']!r:.40}, and {FORMAT} is known.")
        return Delivery(
            packs={_text(name): Received(**_moment(each)) for name, each in document["packs"].items()},
            files={_path(path): _last(each) for path, each in document["files"].items()},
            conflicts={
                _path(path): Dispute(**_moment(each) | {"content": _content(each["content"]), "beside": _beside(each)})
                for path, each in document["conflicts"].items()
            },
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise HydrationUnreadable(f"hydration.json can't be read: {type(error).__name__}.") from error


def _file(last: Last) -> dict[str, Any]:
    kept: dict[str, Any] = {"content": list(last.content), "pack": last.pack}
    return kept | {"leaving": True} if last.leaving else kept


def _last(kept: Mapping[str, Any]) -> Last:
    return Last(content=_content(kept["content"]), pack=str(kept["pack"]), leaving=bool(kept.get("leaving")))


def _content(kept: Sequence[Any]) -> Content:
    sha256, executable = kept
    return Content(str(sha256), bool(executable))


def _moment(kept: Mapping[str, Any]) -> dict[str, Any]:
    texts = {key: _text(each) for key, each in kept.items() if key in ("version", "digest", "pack")}
    return {**kept, **texts, "at": datetime.fromisoformat(kept["at"])}


def _beside(kept: Mapping[str, Any]) -> str | None:
    return None if kept["beside"] is None else _path(kept["beside"])


def _path(kept: Any) -> str:
    """It came with the unit, from wherever that was made; what lies at it may be removed by us."""
    if any(part in ("", ".", "..") for part in _text(kept).split("/")):
        raise ValueError(kept)
    return str(kept)


def _text(kept: Any) -> str:
    if not isinstance(kept, str) or not kept.isprintable():
        raise ValueError(kept)
    return kept
