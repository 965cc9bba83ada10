"""Receipts of erasures: what was erased of a tenant, for whom and when, what was kept and why; signed, to be checked
for years by whoever has the installation's public key, without us.

What is signed is one line that says what it is, then the statement as canonical JSON (RFC 8785): members in order, no
white space, UTF-8, whole numbers alone.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from innkeeper.core.receipt_errors import ReceiptInvalid

if TYPE_CHECKING:  # the ports speak of receipts, too
    from innkeeper.core.ports.keyring import Signer

FORMAT = "innkeeper erasure receipt 1"
SUPPLEMENT = "innkeeper erasure supplement 1"
DATABASE = "database"
"""What is pending: the database's own files have to be rid of what was dropped."""
_SNAPSHOTS = "snapshots:"
_ALGORITHM = "Ed25519"
_INTEGER_MAX = 2**53
"""What JSON's readers agree on (RFC 7493)."""

Verify = Callable[[str, bytes, bytes], bool]
"""Whether a message was signed with that public key (PEM): key, message, signature."""


@dataclass(frozen=True, kw_only=True)
class Signed:
    """A statement, and the signature under it."""

    statement: Mapping[str, Any]
    key: str
    """The name of the key that it was signed with."""
    signature: str
    """In base64."""

    @property
    def digest(self) -> str:
        """The hash (SHA-256) of what was signed, by which others refer to it."""
        return hashlib.sha256(signed_bytes(self.statement)).hexdigest()

    def document(self) -> dict[str, Any]:
        """As it is kept and handed out."""
        return {
            "statement": dict(self.statement),
            "signature": {"algorithm": _ALGORITHM, "key": self.key, "value": self.signature},
        }


_BEGUN = "begun:"


@dataclass(frozen=True, kw_only=True)
class ErasureReceipt:
    """An erasure from its begin on, and its receipt once it has ended."""

    id: str
    tenant: str
    tenant_id: str
    began_at: datetime
    journal: Mapping[str, Any] = field(default_factory=dict)
    """What each step has found and done; a step that stands here isn't taken again."""
    issued_at: datetime | None = None
    signed: Signed | None = None
    supplements: tuple[Signed, ...] = ()
    """What was erased later."""
    pending: tuple[str, ...] = ()
    """What is still to be erased, as far as we know how: a name for each."""
    failures: int = 0
    """How many times in a row that came to nothing."""
    try_at: datetime | None = None
    """When it is tried next; None: nothing is pending."""

    def noted(self, step: str, facts: Mapping[str, Any]) -> ErasureReceipt:
        """With what a step has done; what stands there already stays."""
        return replace(self, journal={step: facts, **self.journal})

    def begun_at(self, target: str) -> ErasureReceipt:
        """With that snapshots at a target were there, and are being removed."""
        return self.noted(f"{_BEGUN}{target}", {})

    @property
    def should_be_there(self) -> Mapping[str, int]:
        """By target, how many snapshots have to be found there; none where their removal has begun: it may be done."""
        recorded = self.journal.get("found", {}).get("recorded", {})
        return {target: count for target, count in recorded.items() if f"{_BEGUN}{target}" not in self.journal}

    def document(self) -> dict[str, Any]:
        """The file that people keep."""
        supplements = [each.document() for each in self.supplements]
        return {**(self.signed.document() if self.signed else {}), "supplements": supplements}


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What came out of a check."""

    id: str
    tenant: str
    statement: Mapping[str, Any]
    supplements: tuple[Mapping[str, Any], ...]
    faults: tuple[str, ...]
    """What doesn't hold; none: all of it is as it was signed."""


def snapshots_at(target: str) -> str:
    """What is pending: the snapshots at that target."""
    return f"{_SNAPSHOTS}{target}"


def target_of(pending: str) -> str | None:
    """The target whose snapshots are pending; None: something else is."""
    return pending.removeprefix(_SNAPSHOTS) if pending.startswith(_SNAPSHOTS) else None


def sign(statement: Mapping[str, Any], signer: Signer) -> Signed:
    """The statement with its signature."""
    signature = signer.sign(signed_bytes(statement))
    return Signed(statement=statement, key=signer.key_id, signature=base64.b64encode(signature).decode())


def signed_bytes(statement: Mapping[str, Any]) -> bytes:
    """What the signature is of; raises ReceiptInvalid for what has no canonical form."""
    return f"{statement.get('format')}\n".encode() + canonical(statement)


def canonical(document: Mapping[str, Any]) -> bytes:
    """The document's one form (RFC 8785); its members' names are ASCII, so that their order is nobody's to argue."""
    _check_plain(document)
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ReceiptInvalid("It holds text that isn't Unicode.") from None


def signed_of(document: Any) -> Signed:
    """From its document; raises ReceiptInvalid."""
    try:
        statement, signature = document["statement"], document["signature"]
        found = Signed(statement=statement, key=signature["key"], signature=signature["value"])
        texts: tuple[Any, ...] = (found.key, found.signature, statement["id"])
        known = signature["algorithm"] == _ALGORITHM and isinstance(statement, dict)
    except (KeyError, TypeError):
        raise ReceiptInvalid("That is no receipt of an erasure.", hint="") from None
    if not known or not all(isinstance(each, str) for each in texts):
        raise ReceiptInvalid("That is no receipt of an erasure.", hint="")
    return found


def check(document: Any, *, public_key: str, key: str, verify: Verify) -> Checked:
    """Whether a receipt and its supplements are as the owner of that public key, whose name is `key`, signed them.

    Raises ReceiptInvalid for what is no receipt at all.
    """
    receipt = signed_of(document)
    more = document.get("supplements", [])
    supplements = [signed_of(each) for each in more] if isinstance(more, list) else []
    faults = [] if isinstance(more, list) else ["Its supplements are no list."]
    named = receipt.statement.get("tenant")
    if receipt.statement.get("format") != FORMAT or not isinstance(named, dict):
        raise ReceiptInvalid("That is no receipt of an erasure.", hint="")
    faults += _faults(receipt, "The receipt", public_key=public_key, key=key, verify=verify)
    for number, each in enumerate(supplements, 1):
        what = f"Supplement {number}"
        faults += _faults(each, what, public_key=public_key, key=key, verify=verify)
        if each.statement.get("format") != SUPPLEMENT or each.statement.get("receipt") != receipt.digest:
            faults.append(f"{what} belongs to another receipt.")
    return Checked(
        id=receipt.statement["id"],
        tenant=str(named.get("name")),
        statement=receipt.statement,
        supplements=tuple(each.statement for each in supplements),
        faults=tuple(faults),
    )


def _faults(signed: Signed, what: str, *, public_key: str, key: str, verify: Verify) -> list[str]:
    if signed.key != key:
        return [f"{what} was signed with another key: {signed.key[:60]}, and not {key}."]
    try:
        signature = base64.b64decode(signed.signature, validate=True)
    except (binascii.Error, ValueError):
        signature = b""
    if verify(public_key, signed_bytes(signed.statement), signature):
        return []
    return [f"{what} isn't what was signed."]


def _check_plain(part: Any) -> None:
    match part:
        case None | bool() | str():
            return
        case int() if abs(part) <= _INTEGER_MAX:
            return
        case dict():
            if not all(isinstance(name, str) and name.isascii() for name in part):
                raise ReceiptInvalid("It has a member whose name isn't ASCII.")
            for each in part.values():
                _check_plain(each)
        case list() | tuple():
            for each in part:
                _check_plain(each)
        case _:
            raise ReceiptInvalid(f"It holds a {type(part).__name__}, which has no one form.")
