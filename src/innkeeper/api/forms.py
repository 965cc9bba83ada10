"""What every document that goes in or out is made from."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

Item = TypeVar("Item")


class Body(BaseModel):
    """Something that a caller sends; an unknown field is a mistake, never ignored."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Document(BaseModel):
    """Something that we send."""

    model_config = ConfigDict(use_attribute_docstrings=True, frozen=True)


class ItemsOf(Document, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    """The items of this page."""
    next_cursor: str | None = None
    """Pass it as `cursor` to get the next page; null on the last."""
