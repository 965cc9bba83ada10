"""What of a tenant anybody may reach without a key: public paths, and inbox paths whose webhooks are kept for it.

A path that opens something is compared byte by byte with what the client sent: no decoding, no folding. What another
server could read as another path opens nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from innkeeper.core.errors import InvalidSpec

PUBLIC_PATHS_MAX = INBOX_PATHS_MAX = 20
PATH_BYTES_MAX = 200
_SEGMENT = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9._~!$&'()+=:@-]+"
_PATH = re.compile(rf"/(?:{_SEGMENT}/)*(?:{_SEGMENT})?")
_HEADER = re.compile(r"header:[A-Za-z0-9-]{1,80}")
_MEMBER = re.compile(r"json:[A-Za-z0-9_-]{1,80}(?:\.[A-Za-z0-9_-]{1,80}){0,7}")
_BELOW = re.compile(rb"[!-~]*")


@dataclass(frozen=True, kw_only=True)
class InboxPath:
    """A path whose POSTs are accepted on the tenant's behalf, written down and delivered when it is up."""

    path: str
    id: str = "auto"
    """Where a message's own id is found: `auto`, `header:NAME`, `json:a.b` or `none`; core/sender_ids.py."""
    port: int | None = None
    """Where the agent listens for it; None: on its main port."""


class Openings:
    """One tenant's open paths, ready to be asked about each request."""

    def __init__(self, public_paths: Sequence[str], inbox: Iterable[InboxPath]) -> None:
        self._exact = frozenset(path.encode() for path in public_paths if not path.endswith("/*"))
        self._below = tuple(path[:-1].encode() for path in public_paths if path.endswith("/*"))
        self._inbox: dict[bytes, InboxPath] = {}
        for each in inbox:
            self._inbox.setdefault(each.path.encode(), each)  # what was said first wins

    def inbox_at(self, method: bytes, uri: bytes) -> InboxPath | None:
        """The inbox path that a request is for; only a POST brings a message."""
        return self._inbox.get(uri.partition(b"?")[0]) if self._inbox and method == b"POST" else None

    def inbox_path(self, path: str) -> InboxPath | None:
        """The inbox path of that name."""
        return self._inbox.get(path.encode())

    def is_public(self, uri: bytes) -> bool:
        """Whether a request may pass without a key."""
        path = uri.partition(b"?")[0]
        if path in self._exact:
            return True
        return any(path.startswith(prefix) and _stays_below(path[len(prefix) :]) for prefix in self._below)


def checked_public_paths(paths: Iterable[str]) -> tuple[str, ...]:
    """The paths, each once; raises InvalidSpec."""
    found = tuple(dict.fromkeys(paths))
    if len(found) > PUBLIC_PATHS_MAX:
        raise InvalidSpec(
            f"{len(found)} public paths are too many.", field="public_paths", hint=f"At most {PUBLIC_PATHS_MAX}."
        )
    for path in found:
        if path == "/*":
            raise InvalidSpec(
                "`/*` would open everything.", field="public_paths", hint="If that is meant, set `access` to `open`."
            )
        if not is_path(path.removesuffix("*") if path.endswith("/*") else path):
            raise _no_path(path, "public_paths", "Like `/hooks/verify`, or `/static/*` for all that lies below.")
    return found


def checked_inbox(inbox: Iterable[InboxPath]) -> tuple[InboxPath, ...]:
    """The inbox paths; raises InvalidSpec."""
    found = tuple(inbox)
    if len(found) > INBOX_PATHS_MAX:
        raise InvalidSpec(f"{len(found)} inbox paths are too many.", field="inbox", hint=f"At most {INBOX_PATHS_MAX}.")
    for number, each in enumerate(found):
        where = f"inbox.{number}"
        if not is_path(each.path):
            raise _no_path(each.path, f"{where}.path", "Like `/telegram-webhook`: one exact path.")
        if each.path in [other.path for other in found[:number]]:
            raise InvalidSpec(f"{each.path} is there twice.", field=f"{where}.path")
        if each.id not in ("auto", "none") and not _HEADER.fullmatch(each.id) and not _MEMBER.fullmatch(each.id):
            raise InvalidSpec(
                f"{each.id[:60]!r} doesn't say where a message's id is.",
                field=f"{where}.id",
                hint="`auto`, `none`, `header:X-GitHub-Delivery` or `json:update_id`.",
            )
        if each.port is not None and not 0 < each.port < 65536:
            raise InvalidSpec(f"{each.port} isn't a port.", field=f"{where}.port")
    return found


def is_path(path: str) -> bool:
    """Whether it is a path that every server reads the same: absolute, nothing encoded, no `.` or `..` or `//`."""
    return len(path) <= PATH_BYTES_MAX and _PATH.fullmatch(path) is not None


def _no_path(path: str, field: str, hint: str) -> InvalidSpec:
    return InvalidSpec(f"{path[:80]!r} isn't a path that can be opened.", field=field, hint=hint)


def _stays_below(rest: bytes) -> bool:
    """Whether no server, however it decodes or normalises, can take `rest` for a way up or out."""
    if not _BELOW.fullmatch(rest):
        return False
    try:
        text = unicodedata.normalize("NFKC", unquote_to_bytes(rest).decode())
    except UnicodeDecodeError:
        return False
    if not text.isprintable() or not {"\\", "%", ";"}.isdisjoint(text):
        return False
    if any(text.count(sign) != rest.count(sign.encode()) for sign in "./"):
        return False  # some of them were encoded, which only those do who want to be read in two ways
    *folders, name = text.split("/")
    return all(part not in ("", ".", "..") for part in folders) and name not in (".", "..")
