"""What goes wrong with receipts of erasures."""

from __future__ import annotations

from innkeeper.core.errors import Invalid, NotFound


class UnknownReceipt(NotFound):
    """No receipt has that id."""

    code = "unknown_receipt"
    default_hint = "List the receipts with `innkeeper receipt list`."


class ReceiptInvalid(Invalid):
    """The file is no receipt of an erasure, or not one that this version can read."""

    code = "invalid_receipt"
