"""`innkeeper restore NAME --path P --to …`: files of a snapshot, to wherever the command line is."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from innkeeper.cli import show
from innkeeper.cli.exits import failed, wrong_usage
from innkeeper.cli.handed_out import fetched, made
from innkeeper.cli.paths import path_part

if TYPE_CHECKING:
    from innkeeper.cli.desk import Desk

STDOUT = "-"


def take_out(desk: Desk, name: str, wanted: dict[str, Any], to: str, *, as_json: bool) -> None:
    """Into a tar, a new folder, or standard output."""
    if to == STDOUT and as_json:
        raise wrong_usage("--json and `--to -` both want standard output.")
    file = None if to == STDOUT else Path(to)
    is_folder = file is not None and (to.endswith("/") or file.is_dir())
    if file is not None and is_folder and file.is_dir() and any(file.iterdir()):
        raise wrong_usage(f"{file} isn't empty.", hint="Name a new folder, or FILE.tar.")
    path = f"/v1/tenants/{path_part(name)}/restored-files"
    operation, result = made(desk, path, wanted)
    if file is not None and is_folder:
        _into_folder(desk, path, operation, file)
    else:
        fetched(desk, path, operation, to=file)
    if as_json:
        show.document({**result, "to": to, "operation": operation})
        return
    said = f"{result['files']} files as of {result['snapshot']['taken_at']} are in {file or 'what was written'}"
    show.aside(said) if file is None else show.line(said)
    for left_out, why in result["left_out"].items():
        show.aside(f"Left out: {left_out!r}: {why}")
    if (more := result["left_out_count"] - len(result["left_out"])) > 0:
        show.aside(f"Left out: {more} more.")


def _into_folder(desk: Desk, path: str, operation: str, folder: Path) -> None:
    """Fetched beside it and unpacked there; the folder takes its place when it is whole."""
    try:
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.absolute().parent, prefix=f".{folder.name}.") as beside:
            tar, ready = Path(beside) / "tar", Path(beside) / "files"
            fetched(desk, path, operation, to=tar)
            ready.mkdir()
            _unpack(tar, ready)
            ready.rename(folder)
    except OSError as error:
        raise failed("unwritable", f"{folder} can't be written: {error.strerror}.") from error


def _unpack(tar: Path, into: Path) -> None:
    """What lies below NAME/persistence, read as somebody hostile's; nothing in it is followed."""
    # A tar's reader and all that it brings are of no use to other commands.
    from innkeeper.core.errors import Problem
    from innkeeper.units.archive import Caps, open_archive
    from innkeeper.units.pouring import Pouring
    from innkeeper.units.safe_tree import Owner
    from innkeeper.units.trees import TarTree

    top = os.open(into, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with open_archive(tar) as file, Pouring(top, Owner(uid=os.geteuid(), gid=os.getegid())) as pouring:
            tree = TarTree(file, "files", Caps())
            if not tree.last.endswith("/innkeeper.end"):
                raise failed("download_cut_off", "What came isn't whole.", "Ask for it again.")
            tree.pour(pouring, _place)
            pouring.finish()
    except Problem as problem:
        raise failed(problem.code, problem.message, problem.hint) from problem
    finally:
        os.close(top)


def _place(path: str) -> str | None:
    _, _, below = path.partition("/")
    part, _, rest = below.partition("/")
    return rest if part == "persistence" else None
