"""Who opened what: from which ends of the edge's connections each credential was used, so that it can be ended.

One connection may carry several credentials (kept alive, HTTP/2), and one credential many connections. What can't be
told apart by its end (HTTP/3 has no connection of the kernel's) is known as having been used elsewhere.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

from innkeeper.core.ports import Endpoint

ENDPOINTS_MAX = 200_000
"""So many ends are known at most, some 100 MB; more connections than that no Caddy on one host holds."""


class Pass(NamedTuple):
    """What let a request through: a credential (a key, a token, a session), at one tenant."""

    credential: str
    tenant: str


class _Known:
    """One end, and what was used from there."""

    __slots__ = ("endpoint", "latest", "missed", "passes", "round")

    def __init__(self, endpoint: Endpoint, first: Pass, now: int) -> None:
        self.endpoint = endpoint
        self.passes: tuple[Pass, ...] = (first,)
        self.latest = first
        self.round = now
        self.missed = False


class Callers:
    """Remembers ends and passes, for as long as the kernel knows the end. For one thread."""

    def __init__(self, *, most: int = ENDPOINTS_MAX) -> None:
        self._most = most
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._from: dict[Pass, set[bytes]] = {}
        self._elsewhere: OrderedDict[Pass, None] = OrderedDict()
        self._round = 0

    def __len__(self) -> int:
        return len(self._known)

    @property
    def crowded(self) -> bool:
        """Whether it is time to `prune`."""
        return len(self._known) > self._most * 0.9

    def note(self, raw: bytes, given: Pass) -> None:
        """A request passed with it from there: `1.2.3.4:567` or `::1:567`, as Caddy tells it."""
        known = self._known.get(raw)
        if known is None:
            self._add(raw, given)
            return
        known.round = self._round
        if known.latest != given:
            known.latest = given
            if given not in known.passes:
                known.passes = (*known.passes, given)
                self._from.setdefault(given, set()).add(raw)

    def note_elsewhere(self, given: Pass) -> None:
        """A request passed with it over HTTP/3, or from an end that isn't known."""
        self._elsewhere[given] = None
        self._elsewhere.move_to_end(given)
        if len(self._elsewhere) > self._most:
            self._elsewhere.popitem(last=False)

    def passes(self) -> frozenset[Pass]:
        """All that may have something open."""
        return frozenset(self._from.keys() | self._elsewhere.keys())

    def ends(self, given: Iterable[Pass]) -> frozenset[Endpoint]:
        """From where any of these was used."""
        return frozenset(self._known[raw].endpoint for each in given for raw in self._from.get(each, ()))

    def elsewhere(self, given: Iterable[Pass]) -> frozenset[Pass]:
        """Those of them that were used from where nobody can tell."""
        return frozenset(each for each in given if each in self._elsewhere)

    def forget_elsewhere(self, given: Iterable[Pass]) -> None:
        """What they opened elsewhere has been ended."""
        for each in given:
            self._elsewhere.pop(each, None)

    def mark(self) -> int:
        """Begin another round: taken before a look at the connections, it tells what was noted since."""
        self._round += 1
        return self._round

    def prune(self, open_now: Collection[Endpoint], *, since: int) -> None:
        """Forget the ends that two looks in a row, each begun at its mark, didn't see, unless used since the mark."""
        for raw, known in list(self._known.items()):
            if known.endpoint in open_now or known.round >= since:
                known.missed = False
            elif known.missed:
                self._drop(raw)
            else:
                known.missed = True

    def _add(self, raw: bytes, given: Pass) -> None:
        try:
            endpoint = endpoint_of(raw)
        except ValueError:
            self.note_elsewhere(given)
            return
        self._known[raw] = _Known(endpoint, given, self._round)
        self._from.setdefault(given, set()).add(raw)
        if len(self._known) > self._most:  # what it opened may still be open
            for each in self._drop(next(iter(self._known))).passes:
                self.note_elsewhere(each)

    def _drop(self, raw: bytes) -> _Known:
        known = self._known.pop(raw)
        for each in known.passes:
            ends = self._from[each]
            ends.discard(raw)
            if not ends:
                del self._from[each]
        return known


def endpoint_of(raw: bytes) -> Endpoint:
    """What Caddy calls `{remote_host}:{remote_port}`, as the kernel would call it; ValueError."""
    ip, _, port = raw.decode("ascii").rpartition(":")
    address = ip_address(ip.strip("[]").partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return Endpoint(str(address), int(port))
