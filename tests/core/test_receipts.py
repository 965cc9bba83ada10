"""Receipts: signed in one form, and no byte of them can be changed unseen."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from innkeeper.core.erasure_statement import supplement_of
from innkeeper.core.receipt_errors import ReceiptInvalid
from innkeeper.core.receipts import FORMAT, Checked, ErasureReceipt, canonical, check, sign
from innkeeper.keyring.signatures import Ed25519Signer, verified
from tests.store.examples import NOON

SIGNER, STRANGER = Ed25519Signer(b"s" * 32), Ed25519Signer(b"t" * 32)
STATEMENT = {"format": FORMAT, "id": "rct_1", "tenant": {"name": "alice"}, "rows": {"messages": 3}, "none": None}


def receipt(signer: Ed25519Signer = SIGNER) -> dict[str, Any]:
    signed = sign(STATEMENT, signer)
    more = sign(supplement_of(signed, "remote", at=NOON), signer)
    whole = ErasureReceipt(
        id="rct_1", tenant="alice", tenant_id="t_1", began_at=NOON, signed=signed, supplements=(more,)
    )
    document: dict[str, Any] = json.loads(json.dumps(whole.document()))
    return document


def checked(document: Any) -> Checked:
    return check(document, public_key=SIGNER.public_key, key=SIGNER.key_id, verify=verified)


def test_a_receipt_holds() -> None:
    found = checked(receipt())
    assert (found.id, found.tenant, found.faults, len(found.supplements)) == ("rct_1", "alice", (), 1)
    assert checked({**receipt(), "pending": ["whatever"]}).faults == ()


def test_the_order_of_members_says_nothing() -> None:
    document = receipt()
    document["statement"] = dict(reversed(document["statement"].items()))
    assert checked(document).faults == ()


def each_change(document: Any) -> Iterator[Any]:
    """The document with one text or number of it changed, for every one that there is."""
    for name in list(document) if isinstance(document, dict) else range(len(document)):
        value = document[name]
        if isinstance(value, dict | list):
            for changed in each_change(value):
                document[name] = changed
                yield document
        else:
            document[name] = f"{value[:-1]}x" if isinstance(value, str) else 4
            yield document
        document[name] = value


def test_no_part_can_be_changed_unseen() -> None:
    document, changes = receipt(), 0
    for changed in each_change(document):
        changes += 1
        try:
            found = checked(copy.deepcopy(changed))
        except ReceiptInvalid:
            continue
        assert found.faults, changed
    assert changes > 10
    assert checked(document).faults == ()


def test_nothing_can_be_added_or_taken_away_unseen() -> None:
    document = receipt()
    document["statement"]["more"] = True
    assert checked(document).faults == (
        "The receipt isn't what was signed.",
        "Supplement 1 belongs to another receipt.",
    )
    document = receipt()
    del document["statement"]["none"]
    assert checked(document).faults


def test_somebody_elses_receipt_is_told_by_its_key() -> None:
    assert "another key" in checked(receipt(STRANGER)).faults[0]
    pretended = receipt(STRANGER)
    for each in (pretended, *pretended["supplements"]):
        each["signature"]["key"] = SIGNER.key_id
    assert len(checked(pretended).faults) == 2


def test_a_supplement_of_another_receipt_is_told() -> None:
    document = receipt()
    other = sign({**STATEMENT, "id": "rct_2"}, SIGNER)
    document["supplements"] = [sign(supplement_of(other, "remote", at=NOON), SIGNER).document()]
    assert checked(document).faults == ("Supplement 1 belongs to another receipt.",)
    document["supplements"] = [document | {"supplements": []}]  # the receipt itself isn't one either
    assert checked(document).faults == ("Supplement 1 belongs to another receipt.",)
    document["supplements"] = "none"
    assert checked(document).faults == ("Its supplements are no list.",)


@pytest.mark.parametrize("nonsense", [
    None, 3, [], "x", {}, {"statement": {}}, {"statement": [], "signature": {}}, {"statement": 1, "signature": 2},
    {"statement": {"id": 1}, "signature": {"algorithm": "Ed25519", "key": "k", "value": "v"}},
    {"statement": {"id": "x"}, "signature": {"algorithm": "none", "key": "k", "value": "v"}},
    {"statement": {"id": "x", "format": FORMAT}, "signature": {"algorithm": "Ed25519", "key": "k", "value": "v"}},
])  # fmt: skip
def test_what_is_no_receipt_is_told(nonsense: Any) -> None:
    with pytest.raises(ReceiptInvalid):
        checked(nonsense)


@pytest.mark.parametrize("value", [1.5, float("nan"), 2**60, b"x", {1: 2}, {"ü": 1}, "\ud800", {"a": [{"b": 0.5}]}])
def test_only_what_has_one_form_is_signed(value: Any) -> None:
    with pytest.raises(ReceiptInvalid):
        canonical({"value": value})


def test_the_one_form() -> None:
    assert canonical({"b": [True, None, -1], "a": 'ü"\n\x7f/'}) == ('{"a":"ü\\"\\n\x7f/","b":[true,null,-1]}'.encode())
