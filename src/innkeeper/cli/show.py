"""What people and programs get to see: JSON, tables, progress and errors."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from innkeeper.cli.exits import Stop, wrong_usage
from innkeeper.core.redaction import redacted

if TYPE_CHECKING:  # Rich is imported where it is used, so that `--json` and `--help` are quick
    from rich.console import Console

_CONTROL = {code: None for code in (*range(32), *range(127, 160)) if code not in (9, 10)}
_UNLIMITED = 10_000
Cell = str | int | float | None


def document(value: object, *, lines: bool = False) -> None:
    """Print a JSON document; as one line of many with `lines`."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=None if lines else 2) + "\n")
    sys.stdout.flush()


def line(text: str = "") -> None:
    """Print a line."""
    words(text + "\n")


def words(text: str) -> None:
    """Print a piece of text as it comes; what an agent wrote can't steer the terminal."""
    sys.stdout.write(plain(text))
    sys.stdout.flush()


def aside(text: str) -> None:
    """Say something on stderr, where it doesn't mix with the result."""
    sys.stderr.write(plain(text) + "\n")


def plain(text: str) -> str:
    """Text without control characters, line breaks and tabs apart."""
    return text.translate(_CONTROL)


def table(columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, empty: str) -> None:
    """Print rows under headings, cut to the terminal's width but never when piped; `empty` says that there are none."""
    from rich.table import Table
    from rich.text import Text

    if not rows:
        aside(empty)
        return
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        grid.add_column(column, overflow="ellipsis", no_wrap=True)
    for row in rows:
        grid.add_row(*(Text(plain(_cell(value))) for value in row))
    _console().print(grid)


def facts(pairs: Sequence[tuple[str, Cell]]) -> None:
    """Print names and values, one pair a line."""
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        line(f"{name:<{width}}  {_cell(value)}")


def error(stop: Stop, *, as_json: bool) -> None:
    """Print what ended the command."""
    says = redacted(stop.document)
    if as_json and not stop.told:
        document({name: value for name, value in says.items() if value is not None})
        return
    aside(f"error: {says.get('detail')}")
    if hint := says.get("hint"):
        aside(f"hint: {hint}")


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """A function that tells on stderr what is being done: in one moving line on a terminal, else line by line."""
    if not sys.stderr.isatty():
        yield _Steps().tell
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status("") as status:
        yield lambda says: status.update(Text(plain(says)))


def confirm(question: str, *, yes: bool) -> None:
    """Go on only if that is meant: Stop where nobody can be asked or the answer is no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise wrong_usage("This can't be undone, and there is nobody to ask.", hint="Say --yes if you mean it.")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise wrong_usage("Nothing was changed.")


def memory(found: Mapping[str, int | None] | None) -> str | None:
    """`41 MB in RAM of 812 MB, 771 MB in swap (as zram 310 MB)`."""
    if found is None:
        return None
    text = f"{found['resident_mb']} MB in RAM of {found['rss_mb']} MB"
    if found["swap_mb"]:
        text += f", {found['swap_mb']} MB in swap"
        text += "" if found["zram_mb"] is None else f" (as zram {found['zram_mb']} MB)"
    return text


def ago(moment: str | None) -> str:
    """`3 min` for a timestamp of three minutes ago."""
    if moment is None:
        return "never"
    return duration(max(0, int((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds())))


def duration(seconds: int | None) -> str:
    """`3 min` for 180 seconds."""
    if seconds is None:
        return "-"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def size(found: int) -> str:
    """`6.2 KB` for 6,349 bytes."""
    for unit, name in ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")):
        if found >= unit:
            return f"{found / unit:.1f} {name}"
    return f"{found} bytes"


class _Steps:
    """Progress for a pipe: each new thing once."""

    def __init__(self) -> None:
        self._last = ""

    def tell(self, says: str) -> None:
        if says != self._last:
            aside(says)
            self._last = says


def _cell(value: Cell) -> str:
    return "-" if value is None else str(value)


def _console() -> Console:
    from rich.console import Console

    width = None if sys.stdout.isatty() else _UNLIMITED
    return Console(width=width, markup=False, emoji=False, highlight=False)
