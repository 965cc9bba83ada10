"""The secrets that are known by value, and where in a text they stand: quick, however many there are.

A log line is looked through once: at each place six characters are looked up among the beginnings of everything that is
known. So a line costs the same with ten secrets as with ten thousand.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

MARK = "…"
"""What stands in a secret's place."""
SHORTEST = 6
"""Anything shorter isn't hidden: it would blacken ordinary words."""
WHOLE = 256
"""A secret of up to so many characters is known as a whole; a longer one piece by piece, so that a part gives it away,
too: what quotes long things cuts them off somewhere."""
PIECE = 64
ROOM = 8 << 20
"""So many characters are kept, all spellings counted, before what has run out is forgotten."""
_WORDS_MAX = 24
"""Longer than that words are a passphrase."""
_ORDINARY = re.compile(
    rf"(?=.{{1,{_WORDS_MAX}}}\Z)[A-Za-z]?[a-z]*(?:[^A-Za-z0-9]+[A-Za-z]?[a-z]*)*+"  # words and punctuation, no digits
    r"|[\d\W_TZ]{1,64}"  # numbers, dates, IPv4 addresses
    r"|[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}"  # IPv6
    r"|[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,5}\.[a-z]{2,24}",  # mail
    re.DOTALL,
)
_EDGES = " \t\r\n\"'\\" + MARK
"""Not hidden at a secret's ends: there they can't be told from what quotes it."""


@dataclass(frozen=True, kw_only=True)
class _Entry:
    forms: frozenset[str]
    until: float
    size: int


class KnownSecrets:
    """What must not be told, each for ever or for a time, after which it may be forgotten when there is no more room.

    `clock` tells seconds. Safe to use from several threads.
    """

    def __init__(self, *, room: int = ROOM, clock: Callable[[], float] = time.monotonic) -> None:
        self._room = room
        self._clock = clock
        self._entries: dict[tuple[str, bool], _Entry] = {}  # the longest unused first
        self._forms: Counter[str] = Counter()
        self._lengths: dict[str, tuple[int, ...]] = {}
        """By the first characters of a form: how long the forms are that begin so, the longest first."""
        self._size = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """How many characters are kept."""
        return self._size

    def hide(self, secret: str, *, for_s: float | None = None, chosen: bool = False) -> None:
        """Know the secret from now on, for `for_s` seconds at least; None: for as long as the process lives.

        `chosen` by somebody who isn't the operator: what is ordinary in logs stays, or they could have it blotted out.
        """
        until = float("inf") if for_s is None else self._clock() + for_s
        with self._lock:
            if known := self._entries.pop((secret, chosen), None):
                entry = _Entry(forms=known.forms, until=max(known.until, until), size=known.size)
            else:
                forms = frozenset(each for each in spellings(secret) if not (chosen and is_ordinary(each)))
                if not forms:
                    return
                entry = _Entry(forms=forms, until=until, size=len(secret) + sum(map(len, forms)))
                self._learn(entry)
            self._entries[secret, chosen] = entry
            if self._size > self._room:
                self._forget()

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where secrets stand, from and to, in order; those that touch or overlap are one."""
        lengths, forms = self._lengths, self._forms
        if not lengths:
            return
        start = end = -1
        for at in range(len(text) - SHORTEST + 1):
            if (head := text[at : at + SHORTEST]) not in lengths:
                continue
            length = next((each for each in lengths.get(head, ()) if text[at : at + each] in forms), 0)
            if not length:
                continue
            if at > end:
                if end > 0:
                    yield start, end
                start = at
            end = max(end, at + length)
        if end > 0:
            yield start, end

    def _learn(self, entry: _Entry) -> None:
        for form in entry.forms:
            self._forms[form] += 1
            head = form[:SHORTEST]
            self._lengths[head] = tuple(sorted({*self._lengths.get(head, ()), len(form)}, reverse=True))
        self._size += entry.size

    def _forget(self) -> None:
        """Make room: of those that have run out the longest unused go; what is alive stays, however much that is."""
        now = self._clock()
        gone = set[str]()
        for secret, entry in list(self._entries.items()):
            if self._size <= self._room * 3 // 4:  # not one by one: looking costs as much as there are
                break
            if entry.until <= now:
                del self._entries[secret]
                self._size -= entry.size
                gone |= {form for form in entry.forms if self._dropped(form)}
        heads = {form[:SHORTEST] for form in gone}
        left: dict[str, set[int]] = {head: set() for head in heads}
        for form in self._forms if heads else ():
            if (head := form[:SHORTEST]) in left:
                left[head].add(len(form))
        for head, lengths in left.items():
            if lengths:
                self._lengths[head] = tuple(sorted(lengths, reverse=True))
            else:
                self._lengths.pop(head)

    def _dropped(self, form: str) -> bool:
        self._forms[form] -= 1
        if self._forms[form]:
            return False
        del self._forms[form]
        return True


def is_ordinary(text: str) -> bool:
    """Whether that stands in logs anyway, about anybody: a few words, a number, a date, an address."""
    return _ORDINARY.fullmatch(text) is not None


def spellings(secret: str) -> Iterator[str]:
    """The secret as it may stand in a text: plain, line by line, escaped (JSON, Python), in a URL, in base64."""
    for part in _parts(secret):
        escaped = {_as_json(part), _as_json(part, ascii_only=True), repr(part)[1:-1], repr(_bytes(part))[2:-1]}
        escaped |= {each.replace("/", "\\/") for each in (part, _as_json(part))}  # as PHP writes JSON
        in_url = {quote(_bytes(part), safe=""), quote(_bytes(part)), quote_plus(_bytes(part))}
        # What is escaped may be quoted once more: JSON or a `repr` within JSON.
        twice = {_as_json(each) for each in escaped if "\\" in each}
        for form in {part, *escaped, *in_url, *twice, *_in_base64(part)}:
            yield from _pieces(form)


def _parts(secret: str) -> Iterator[str]:
    for part in {secret, *secret.splitlines()}:
        # What was hidden already is no part of it: nothing could be found across the mark.
        for plain in part.split(MARK):
            if len(stripped := plain.strip(_EDGES)) >= SHORTEST and not stripped.startswith("-----"):
                yield stripped


def _pieces(form: str) -> Iterator[str]:
    form = form.strip(_EDGES)
    if len(form) <= WHOLE:
        pieces = [form]
    else:
        pieces = [form[at : at + PIECE] for at in range(0, len(form) - PIECE, PIECE)] + [form[-PIECE:]]
    for piece in pieces:
        if len(stripped := piece.strip(_EDGES)) >= SHORTEST:
            yield stripped


def _in_base64(part: str) -> Iterator[str]:
    """By itself or within something longer (`user:password`): so much of it as doesn't hang on its neighbours."""
    data = _bytes(part)
    for before in range(3):
        text = base64.b64encode(bytes(before) + data).decode().rstrip("=")
        whole = (before + len(data)) * 8 // 6
        inner = text[(0, 2, 3)[before] : whole]
        yield inner
        yield inner.translate(_URL_SAFE)


_URL_SAFE = str.maketrans("+/", "-_")


def _as_json(text: str, *, ascii_only: bool = False) -> str:
    return json.dumps(text, ensure_ascii=ascii_only)[1:-1]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
