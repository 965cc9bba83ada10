"""The drills' firewall: a third nftables table of ours. From inside nothing is begun, to inside only by this host.

It depends on nothing but the namespace, so that it stands before the first drill's network does, and may go on standing
when there is none. What is refused is refused at once: an agent that looks for its channels shouldn't wait for them.
"""

from __future__ import annotations

import hashlib

from innkeeper.core.errors import IsolationBroken
from innkeeper.runtimes.firewall import table_name
from innkeeper.runtimes.nft import Refused, nft

_TEMPLATE = """\
table inet {table}
delete table inet {table}
table inet {table} {{
	chain input {{
		type filter hook input priority -10; policy accept;
		iifname "{bridges}" ct state established accept
		iifname "{bridges}" reject with icmpx type admin-prohibited
	}}

	chain forward {{
		type filter hook forward priority -10; policy accept;
		iifname "{bridges}" reject with icmpx type admin-prohibited
		oifname "{bridges}" drop
	}}
}}
"""


def drill_bridges(namespace: str) -> str:
    """What the names of the drills' bridge devices begin with. No tenants' bridge begins so: an x is no digit."""
    return "ikx" + hashlib.sha256(namespace.encode()).hexdigest()[:6]


def drill_table(namespace: str) -> str:
    """The table's name. A namespace has no capitals, so it is no other one's."""
    return table_name(namespace) + "_DRILLS"


def render(namespace: str) -> str:
    """The transaction that puts the table in place of whatever stood there."""
    return _TEMPLATE.format(table=drill_table(namespace), bridges=drill_bridges(namespace) + "*")


class DrillFirewall:
    """Keeps the table as it should be."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._as_set: str | None = None

    async def hold(self) -> None:
        """See that the table stands, complete."""
        if self._as_set is not None and await self._listing() == self._as_set:
            return
        await nft("-f", "-", stdin=render(self._namespace))
        self._as_set = await self._listing()
        if self._as_set is None:
            raise IsolationBroken("The drills' firewall table vanished as soon as it was set.")

    async def remove(self) -> None:
        """Take the table away; one that isn't there is fine."""
        table = drill_table(self._namespace)
        await nft("-f", "-", stdin=f"table inet {table}\ndelete table inet {table}\n")
        self._as_set = None

    async def _listing(self) -> str | None:
        try:
            return await nft("--stateless", "list", "table", "inet", drill_table(self._namespace))
        except Refused:
            return None
