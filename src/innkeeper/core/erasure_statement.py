"""What the receipt of an erasure says: what its steps have noted, in words for people and values for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from innkeeper.core.people import ApiToken, User
from innkeeper.core.receipts import FORMAT, SUPPLEMENT, ErasureReceipt, Signed
from innkeeper.core.trail import Line


@dataclass(frozen=True, kw_only=True)
class People:
    """Who may have asked, to be named as people know them."""

    users: Sequence[User]
    tokens: Sequence[ApiToken]

    def name(self, actor: str) -> str:
        """A mail address, or what a token is called; empty where it is neither."""
        mails = {user.id: user.mail for user in self.users}
        token = next((each for each in self.tokens if each.id == actor), None)
        if token is None:
            return mails.get(actor, "")
        whose = mails.get(token.user or "", "")
        return f"{token.name} ({whose})" if whose else token.name


def asked_of(lines: Sequence[Line], people: People) -> Mapping[str, Any]:
    """Who first asked for the purge, by the trail's lines on deleting the tenant; nobody where it was cut."""
    line = next((each for each in lines if _asks_for_purge(each)), None)
    if line is None:
        return {"by": None, "at": None, "request": None}
    actor = line["actor"] or ""
    by = {"kind": line["kind"], "id": actor, "name": _unicode(people.name(actor))}
    return {"by": by, "at": line["at"], "request": line["request"]}


def statement_of(
    receipt: ErasureReceipt,
    rows: Mapping[str, int],
    *,
    head: str,
    at: datetime,
    installation: str,
    trail_kept: timedelta | None,
    has_control_snapshots: bool,
) -> Mapping[str, Any]:
    """The statement that is signed; format 1, described in the docs."""
    journal = receipt.journal
    found, key = journal["found"], journal["key"]
    snapshots = [
        {"target": target, "snapshots": found["snapshots"].get(target), "erased": says is None, "says": says}
        for target, says in journal["snapshots"].items()
    ]
    return {
        "format": FORMAT,
        "id": receipt.id,
        "installation": installation,
        "tenant": {"name": receipt.tenant, "id": receipt.tenant_id, **journal["tenant"]},
        "asked": journal["asked"],
        "began_at": _text(receipt.began_at),
        "ended_at": _text(at),
        "erased": {
            "instance": True,
            "data_key": {"id": key["id"], "destroyed_at": key["destroyed_at"]},
            "snapshots": snapshots,
            "unit": found["unit"],
            "places": found["places"],
            "rows": dict(rows),
            "integrations": [
                {"integration": name, "revoked": revoked} for name, revoked in journal["integrations"].items()
            ],
        },
        "key_held_in": key["held_in"],
        "kept": [
            {"what": what, "why": why}
            for what, why in _kept(receipt, rows, trail_kept, has_control_snapshots=has_control_snapshots)
        ],
        "trail_head": head,
    }


def supplement_of(receipt: Signed, target: str, *, at: datetime) -> Mapping[str, Any]:
    """What is signed when snapshots that couldn't be reached are gone, too."""
    return {
        "format": SUPPLEMENT,
        "id": receipt.statement["id"],
        "receipt": receipt.digest,
        "erased": {"snapshots": [{"target": target, "erased": True}]},
        "at": _text(at),
    }


def _kept(
    receipt: ErasureReceipt, rows: Mapping[str, int], trail_kept: timedelta | None, *, has_control_snapshots: bool
) -> Iterator[tuple[str, str]]:
    """What is left of the tenant, and why."""
    for_so_long = "for good" if trail_kept is None else f"for {trail_kept.days} days"
    yield (
        f"Lines of the audit trail that name it, {for_so_long}.",
        "They prove who did what and when. They hold names, and nothing of what it said or was sent.",
    )
    yield (
        "This receipt, with the tenant's name, and who asked for the erasure.",
        "Whoever erases has to be able to prove it.",
    )
    yield "The tombstone of its data key: two ids and a time.", "So that no key is ever made or put back in its place."
    yield "Lines of logs that name it, as long as the host keeps logs.", "They hold nothing of what it said."
    if members := rows.get("members"):
        yield (
            f"The accounts of {members} people who were its members.",
            "They are people's own, and may belong to other tenants: `innkeeper user delete`.",
        )
    if has_control_snapshots:
        yield (
            "Rows of it in earlier snapshots of the control plane's own database, until those are forgotten.",
            "They are of the whole installation. Its secrets and messages in them are unreadable without its data key.",
        )
    for target, says in receipt.journal["snapshots"].items():
        if says is not None:
            yield (
                f"What is left of its snapshots at the target {target}.",
                f"It couldn't be removed ({says}). It can't be read without the key, and is tried again.",
            )
    for each in receipt.journal["found"].get("namesakes", ()):
        yield (
            f"The key and the snapshots of {each}, a former tenant of this name that was deleted without a purge.",
            "It may have been somebody else's: the same command erases them, too, one tenant at a time.",
        )
    for each in receipt.journal["key"]["held_in"]:
        yield (
            f"Its data key in the export of the keyring to {each['file']} of {each['at']}.",
            "It is out of this control plane's reach: destroy it, and export the keyring anew.",
        )
    if receipt.journal["found"]["unit"]["files"] is None and receipt.journal["found"]["unit"]["exists"]:
        yield "No count of its files.", "There were too many, or too deep, to be counted; all of them are removed."


def _asks_for_purge(line: Line) -> bool:
    try:
        return bool(json.loads(line["detail"] or "{}").get("purge"))
    except (ValueError, AttributeError):
        return False


def _unicode(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
