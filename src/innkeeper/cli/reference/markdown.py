"""Tables and paragraphs of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; what would break it is escaped."""
    lines = [_row(columns), _row(["---"] * len(columns)), *(_row(row) for row in rows)]
    return "\n".join(lines) + "\n"


def paragraph(text: str | None) -> str:
    """Prose as one line: a docstring's own line breaks mean nothing."""
    return " ".join((text or "").split())


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(paragraph(cell).replace("|", "\\|") for cell in cells) + " |"
