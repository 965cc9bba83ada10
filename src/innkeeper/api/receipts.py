"""/v1/receipts: what was erased, signed so that it can be checked without us."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from innkeeper.api.admission import needs
from innkeeper.api.deps import TheInn
from innkeeper.api.forms import Document, ItemsOf
from innkeeper.api.pages import Page, cursor_after
from innkeeper.core.access import Action
from innkeeper.core.receipt_errors import UnknownReceipt
from innkeeper.core.receipts import ErasureReceipt

router = APIRouter(prefix="/receipts", tags=["receipts"])
_ID = re.compile(r"rct_[0-9a-z]{26}")


class SignatureDocument(Document):
    """A signature, and which key it was made with."""

    algorithm: str
    """Ed25519 (RFC 8032)."""
    key: str
    """The key's id, as `GET /v1/receipts/key` tells it."""
    value: str
    """In base64."""


class SignedDocument(Document):
    """A statement and the signature under it: of its `format` on a line, then of it as canonical JSON (RFC 8785)."""

    statement: dict[str, Any]
    """See "Erase a person's data" in the docs."""
    signature: SignatureDocument


class ReceiptDocument(SignedDocument):
    """The receipt of an erasure."""

    supplements: list[SignedDocument]
    """What could be erased only later; each names the receipt by its hash."""
    pending: list[str]
    """What is still to be erased and is tried again by itself: `snapshots:TARGET`, `database`. Not signed."""


class ReceiptLine(Document):
    """A receipt as it is listed."""

    id: str
    tenant: str
    """Its name; another may have it by now."""
    tenant_id: str
    began_at: datetime
    issued_at: datetime
    asked_by: str | None
    """Who asked for the erasure: a mail address or what the credential is called, else its id. Null: the trail doesn't
    tell any more."""
    supplements: int
    pending: list[str]


class ReceiptPage(ItemsOf[ReceiptLine]):
    """One page of receipts."""


class ReceiptKeyDocument(Document):
    """What anybody can check receipts with."""

    id: str
    algorithm: str
    public_key: str
    """In PEM (RFC 8410)."""


@router.get("", summary="List receipts of erasures")
@needs(Action.RECEIPTS)
async def index(
    inn: TheInn,
    page: Page,
    named: Annotated[str | None, Query(alias="tenant", description="Only of tenants that had this name.")] = None,
) -> ReceiptPage:
    """Those that were issued, the oldest first. They are kept for good."""
    read = await inn.receipts.page(tenant=named, after=page.after, limit=page.take)
    found, more = page.cut(read)
    items = [_line(receipt) for receipt in found]
    return ReceiptPage(items=items, next_cursor=cursor_after(found[-1].id) if more else None)


@router.get("/key", summary="Get the key that receipts are checked with")
@needs(Action.RECEIPTS)
async def key(inn: TheInn) -> ReceiptKeyDocument:
    """The public key, which no rotation of the keyring changes: keep it beside the receipts."""
    signer = inn.receipts.signer
    return ReceiptKeyDocument(id=signer.key_id, algorithm="Ed25519", public_key=signer.public_key)


@router.get("/{receipt_id}", summary="Look at a receipt")
@needs(Action.RECEIPTS)
async def show(receipt_id: Annotated[str, Path(description="The receipt's id.")], inn: TheInn) -> ReceiptDocument:
    """The whole of it, as `innkeeper receipt verify` takes it."""
    if not _ID.fullmatch(receipt_id):
        raise UnknownReceipt(f"There is no receipt {receipt_id[:60]!r}.")
    receipt = await inn.receipts.receipt(receipt_id)
    return ReceiptDocument.model_validate({**receipt.document(), "pending": list(receipt.pending)})


def _line(receipt: ErasureReceipt) -> ReceiptLine:
    by = receipt.journal.get("asked", {}).get("by") or {}
    return ReceiptLine(
        id=receipt.id,
        tenant=receipt.tenant,
        tenant_id=receipt.tenant_id,
        began_at=receipt.began_at,
        issued_at=receipt.issued_at or receipt.began_at,
        asked_by=by.get("name") or by.get("id"),
        supplements=len(receipt.supplements),
        pending=list(receipt.pending),
    )
