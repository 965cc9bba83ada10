"""The tenants' ways out: a second nftables table of ours, beside the firewall's.

Its rules are replaced as a whole, in one transaction. What they look up, the addresses that a tenant may reach, stays:
it is added to one by one, and outlives a control plane that dies. A packet has to pass both tables.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from innkeeper.core.errors import IsolationBroken
from innkeeper.core.uses import EgressMode
from innkeeper.runtimes.addressing import bridge_prefix
from innkeeper.runtimes.firewall import table_name
from innkeeper.runtimes.nft import Refused, nft

FRESH_S = 1800.0
"""What was opened so lately isn't opened again: it stays for as long at least."""
AGAIN_S = 20.0
"""How often those who learn are said anew."""
OPEN_MAX = 1024
"""So many addresses of one tenant are open; the one that was opened first gives way to one more."""
NAMES_MAX = 16
"""So many of the names that led to an address are remembered."""
_PLAIN = re.compile(r"[a-z0-9_.-]{1,128}")
"""What nft takes as a comment and says again as it is."""
_ELEMENT = re.compile(r'(\d+\.\d+\.\d+\.\d+) \. (\d+\.\d+\.\d+\.\d+)(?:[^",]*comment "([^"]*)")?')

_TEMPLATE = """\
table inet {table} {{
	set reachable {{
		type ipv4_addr . ipv4_addr
		size 1048576
		flags dynamic,timeout
		timeout 1h
	}}

	set learners {{
		type ipv4_addr
		flags timeout
		timeout 2m
	}}

	set askers {{
		type ipv4_addr
		size 65536
		flags dynamic,timeout
		timeout 1m
	}}

	chain names {{
		type nat hook prerouting priority dstnat - 10; policy accept;
	}}

	chain floods {{
		type filter hook input priority -11; policy accept;
	}}

	chain forward {{
		type filter hook forward priority -9; policy accept;
	}}

	chain enforced {{
	}}
}}
flush chain inet {table} names
flush chain inet {table} floods
flush chain inet {table} forward
flush chain inet {table} enforced
table inet {table} {{
	chain names {{
		iifname "{bridges}" ip saddr @learners meta l4proto {{ tcp, udp }} th dport 53 redirect to :{port}
{names}	}}

	chain floods {{
		iifname "{bridges}" meta l4proto {{ tcp, udp }} th dport {port} update @askers {{ ip saddr \
limit rate over 100/second burst 300 packets }} drop
	}}

	chain forward {{
{forward}	}}

	chain enforced {{
		ip saddr . ip daddr @reachable update @reachable {{ ip saddr . ip daddr timeout 1h }} accept
		reject with icmp admin-prohibited
	}}
}}
"""
_NAMES = """\
		iifname "{bridges}" ip saddr {{ {addresses} }} meta l4proto {{ tcp, udp }} th dport 53 redirect to :{port}
"""
_FORWARD = """\
		iifname "{bridges}" ip saddr {{ {addresses} }} jump enforced
"""

Pair = tuple[str, str]
"""A tenant's address and one that it may reach."""


@dataclass(frozen=True, kw_only=True)
class EgressRules:
    """Everything that the rules depend on."""

    namespace: str
    port: int
    """Where our name server listens, on the networks' gateways."""
    modes: Mapping[IPv4Address, EgressMode]
    """Who is watched, by address; `off` is nobody's mode here."""

    def those(self, mode: EgressMode) -> list[IPv4Address]:
        """Who has this mode, in order."""
        return sorted(address for address, its in self.modes.items() if its is mode)


def egress_table_name(namespace: str) -> str:
    """The table's name. A namespace has no capitals, so it is no other one's firewall."""
    return table_name(namespace) + "_EGRESS"


def render(rules: EgressRules) -> str:
    """The transaction that puts the rules in place of whatever stood there, and leaves what is open as it is."""
    enforced = _listed(rules.those(EgressMode.ENFORCE))
    words = {"bridges": bridge_prefix(rules.namespace) + "*", "port": rules.port}
    text = _TEMPLATE.format(
        table=egress_table_name(rules.namespace),
        names=_NAMES.format(addresses=enforced, **words) if enforced else "",
        forward=_FORWARD.format(addresses=enforced, **words) if enforced else "",
        **words,
    )
    return text + learners(rules)


def learners(rules: EgressRules) -> str:
    """The transaction that has what learners ask come to us for two minutes more. Then, if nobody says so again, they
    ask whom they like: no agent should stand still for being learnt from."""
    table, those = egress_table_name(rules.namespace), _listed(rules.those(EgressMode.LEARN))
    return f"flush set inet {table} learners\n" + (
        f"add element inet {table} learners {{ {those} }}\n" if those else ""
    )


def _listed(things: Iterable[object]) -> str:
    return ", ".join(map(str, things))


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A way that was opened, as far as we remember."""

    at: float
    names: tuple[str, ...]
    """What led there, the latest last; after a restart only the latest."""


class EgressTable:
    """Keeps the table as it should be, and opens addresses in it."""

    def __init__(self, namespace: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._table = egress_table_name(namespace)
        self._clock = clock
        self._standing: tuple[EgressRules, str] | None = None
        self._learning_since = float("-inf")
        self._away = False
        """Whether we have taken the table away, as most installations never need one."""
        self._known: dict[str, dict[str, Opened]] | None = None
        """By the tenant's address and the other's, oldest first; None: not yet read from the kernel."""
        self._pending: dict[Pair, str] = {}
        self._lock = asyncio.Lock()

    async def hold(self, rules: EgressRules) -> None:
        """See that the rules stand; whoever took the table away is undone, with what was open."""
        async with self._lock:
            if not rules.modes:
                await self._remove()
                return
            listing = await self._listing()
            if listing is not None and self._standing == (rules, listing):
                await self._go_on_learning(rules)
                return
            known = await self._all_known()
            enforced = {str(each) for each, mode in rules.modes.items() if mode is EgressMode.ENFORCE}
            left_over = [(mine, its) for mine in known.keys() - enforced for its in known[mine]]
            text = render(rules)
            if listing is None:
                text += self._add(
                    {(mine, its): known[mine][its].names[-1] for mine in enforced for its in known.get(mine, ())}
                )
            else:
                text += self._delete(left_over)
            await nft("-f", "-", stdin=text)
            for mine, its in left_over:
                known[mine].pop(its)
            listing = await self._listing()
            if listing is None:
                raise IsolationBroken("The table of the tenants' ways out vanished as soon as it was set.")
            self._standing, self._away, self._learning_since = (rules, listing), False, self._clock()

    async def _go_on_learning(self, rules: EgressRules) -> None:
        now = self._clock()
        if rules.those(EgressMode.LEARN) and now - self._learning_since > AGAIN_S:
            await nft("-f", "-", stdin=learners(rules))
            self._learning_since = now

    async def let_go(self) -> None:
        """Those who learn ask whom they like again; what is enforced stays so."""
        async with self._lock:
            if await self._listing() is not None:
                await nft("-f", "-", stdin=f"flush set inet {self._table} learners\n")
            self._standing = None

    async def open(self, mine: str, name: str, addresses: Collection[str]) -> None:
        """Let the tenant at `mine` reach these, to which the name leads; those who ask at once are served together."""
        wanted = {(mine, its): name for its in addresses if not self._is_fresh(mine, its, name)}
        if not wanted:
            return
        self._pending |= wanted
        async with self._lock:
            if self._pending.keys() & wanted.keys():
                await self._open_pending()
        if not all(self._is_fresh(mine, its) for its in addresses):
            raise IsolationBroken("The way to an address couldn't be opened.")

    async def shut(self, mine: str, *, but: Callable[[str], bool]) -> None:
        """Let the tenant at `mine` reach nothing but that to which a name leads for which `but` is true."""
        async with self._lock:
            known = (await self._all_known()).get(mine, {})
            left = {its: tuple(filter(but, opened.names)) for its, opened in known.items()}
            gone = [its for its, names in left.items() if not names]
            if gone and await self._listing() is not None:
                await nft("-f", "-", stdin=self._delete((mine, its) for its in gone))
            for its, names in left.items():
                opened = known.pop(its)
                if names:
                    known[its] = replace(opened, names=names)

    async def remove(self) -> None:
        """Take the table away; one that isn't there is fine."""
        async with self._lock:
            await self._remove()

    async def _remove(self) -> None:
        if not self._away:
            await nft("-f", "-", stdin=f"table inet {self._table}\ndelete table inet {self._table}\n")
            self._standing, self._known, self._away = None, {}, True

    def _is_fresh(self, mine: str, its: str, name: str | None = None) -> bool:
        opened = (self._known or {}).get(mine, {}).get(its)
        return opened is not None and opened.at > self._clock() - FRESH_S and (name is None or name in opened.names)

    async def _open_pending(self) -> None:
        known = await self._all_known()
        wanted, self._pending = self._pending, {}
        surplus: list[Pair] = []
        for mine in {mine for mine, _ in wanted}:
            new = {its for whose, its in wanted if whose == mine}
            old = [its for its in known.get(mine, {}) if its not in new]
            surplus += [(mine, its) for its in old[: max(0, len(old) + len(new) - OPEN_MAX)]]
        # Adding doesn't make what is there last longer; taking it away first does, in one transaction. It takes the
        # kernel twice as long, so what is new is only added.
        there = [(mine, its) for mine, its in wanted if its in known.get(mine, {})]
        await nft("-f", "-", stdin=self._delete([*surplus, *there]) + self._add(wanted))
        for mine, its in surplus:
            del known[mine][its]
        for (mine, its), name in wanted.items():
            before = known.setdefault(mine, {}).pop(its, None)
            others = tuple(each for each in before.names if each not in ("", name)) if before else ()
            known[mine][its] = Opened(at=self._clock(), names=(*others[1 - NAMES_MAX :], name))

    def _add(self, ways: Mapping[Pair, str]) -> str:
        said = {pair: f' comment "{name}"' if _PLAIN.fullmatch(name) else "" for pair, name in ways.items()}
        elements = _listed(f"{mine} . {its}{comment}" for (mine, its), comment in said.items())
        return f"add element inet {self._table} reachable {{ {elements} }}\n" if elements else ""

    def _delete(self, pairs: Iterable[Pair]) -> str:
        elements = _listed(f"{mine} . {its}" for mine, its in pairs)
        verbs = ("add", "delete") if elements else ()  # what has run out meanwhile can't be deleted otherwise
        return "".join(f"{verb} element inet {self._table} reachable {{ {elements} }}\n" for verb in verbs)

    async def _all_known(self) -> dict[str, dict[str, Opened]]:
        """What is open; at first by the kernel's word, for a former process may have opened it."""
        if self._known is None:
            found: dict[str, dict[str, Opened]] = {}
            with suppress(Refused):
                listed = await nft("--stateless", "list", "set", "inet", self._table, "reachable")
                for mine, its, name in _ELEMENT.findall(listed):
                    found.setdefault(mine, {})[its] = Opened(at=float("-inf"), names=(name,))
            self._known = found
        return self._known

    async def _listing(self) -> str | None:
        """The rules as they stand, without what is open; None when they don't."""
        try:
            return await nft("--stateless", "--terse", "list", "table", "inet", self._table)
        except Refused:
            return None
