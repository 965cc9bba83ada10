"""Placing staged files in a tenant's data, each in one step, where somebody may be at work in the same folders.

What was decided may not hold any more when it comes to be done. So a name is taken only where it is free, or is
exchanged for what was there, which is then looked at: what isn't what was expected goes back.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import count, islice

from innkeeper.core.delivery import Dispute
from innkeeper.core.merging import Act, Here, Item
from innkeeper.core.packs import BESIDE, FILE_MAX_BYTES, SAVED
from innkeeper.units.exchange import exchange
from innkeeper.units.looking import look, look_at
from innkeeper.units.safe_tree import Owner, folder, made_folder

NAMES_TRIED = 20
_GONE = "gone"
_BARRED = {errno.ENOTDIR, errno.ELOOP, errno.EISDIR}


class Placing:
    """One delivery's hand in the folder `data`; `staging` holds what is new, each file under its item's path."""

    def __init__(self, data: int, staging: int, staged: Mapping[str, str], owner: Owner) -> None:
        self._data = data
        self._staging = staging
        self._staged = staged
        self._owner = owner
        self.besides: dict[str, str | None] = {}
        self.saved: dict[str, str] = {}
        self._touched: set[str] = set()
        """The folders whose entries have changed."""

    def done(self, item: Item, disputes: Mapping[str, Dispute]) -> Item:
        """Do it; the item as it turned out."""
        match item.act:
            case Act.ADD:
                return self._add(item, disputes)
            case Act.UPDATE:
                return self._update(item, disputes)
            case Act.BESIDE:
                return self._beside(item, disputes.get(item.path))
            case Act.OVERWRITE:
                return self._overwrite(item, disputes)
            case Act.REMOVE:
                return self._remove(item)
            case _:
                return item

    def clear(self, dispute: Dispute) -> None:
        """Take away what lies beside, now that it is settled, unless somebody has worked on it."""
        if (
            dispute.beside is None
            or look(self._data, dispute.beside, largest=FILE_MAX_BYTES).content != dispute.content
        ):
            return
        *folders, name = dispute.beside.split("/")
        with suppress(OSError), folder(self._data, folders) as parent:
            os.unlink(name, dir_fd=parent)

    def settle(self) -> None:
        """Have all of it on the disk."""
        for path in self._touched:
            try:
                with folder(self._data, [name for name in path.split("/") if name]) as found:
                    os.fsync(found)
            except OSError as error:
                # Whoever has replaced a folder meanwhile has put away what lay in it, too.
                if error.errno not in {errno.ENOENT, *_BARRED}:
                    raise

    def _add(self, item: Item, disputes: Mapping[str, Dispute]) -> Item:
        try:
            self._put(item.path, item)
        except OSError as error:
            if error.errno not in {errno.EEXIST, *_BARRED}:
                raise
            return self._again(item, disputes)
        return item

    def _update(self, item: Item, disputes: Mapping[str, Dispute]) -> Item:
        *folders, name = item.path.split("/")
        staged = self._staged[item.path]
        try:
            with folder(self._data, folders) as parent:
                if not exchange(staged, name, one_dir=self._staging, other_dir=parent):
                    if self._at(parent, name) != item.here:
                        return self._again(item, disputes)
                    os.rename(staged, name, src_dir_fd=self._staging, dst_dir_fd=parent)
                elif self._at(self._staging, staged) != item.here:
                    exchange(staged, name, one_dir=self._staging, other_dir=parent)
                    return self._again(item, disputes)
                self._touched.add("/".join(folders))
        except FileNotFoundError:
            return replace(item, act=Act.LEFT_DELETED)
        except OSError as error:
            if error.errno not in _BARRED:
                raise
            return self._again(item, disputes)
        return item

    def _again(self, item: Item, disputes: Mapping[str, Dispute]) -> Item:
        """The tenant was quicker: what is there now is theirs."""
        here = look(self._data, item.path, largest=FILE_MAX_BYTES)
        if not here.is_there:
            return replace(item, act=Act.LEFT_DELETED, here=here)
        if here.content == item.new:
            return replace(item, act=Act.SAME, here=here)
        return self._beside(replace(item, act=Act.BESIDE, here=here), disputes.get(item.path))

    def _beside(self, item: Item, before: Dispute | None) -> Item:
        self.besides[item.path] = next(
            (path for path in _named(item.path, BESIDE, item.here.blocked) if self._lies(path, item, before)), None
        )
        return item

    def _lies(self, path: str, item: Item, before: Dispute | None) -> bool:
        """Whether the new version lies at `path` now; a file that isn't ours is left alone."""
        try:
            self._put(path, item)
        except FileExistsError:
            there = look(self._data, path, largest=FILE_MAX_BYTES).content
            if there == item.new:
                return True
            if before is None or before.beside != path or there != before.content:
                return False
            *folders, name = path.split("/")
            with folder(self._data, folders) as parent:
                os.rename(self._staged[item.path], name, src_dir_fd=self._staging, dst_dir_fd=parent)
                self._touched.add("/".join(folders))
        except OSError as error:
            if error.errno not in _BARRED:
                raise
            return False
        return True

    def _overwrite(self, item: Item, disputes: Mapping[str, Dispute]) -> Item:
        *folders, name = item.path.split("/")
        try:
            with folder(self._data, folders) as parent:
                saved = self._exchanged(parent, name, item)
                self._touched.add("/".join(folders))
        except FileNotFoundError:
            return replace(item, act=Act.LEFT_DELETED)
        except OSError as error:
            if error.errno not in _BARRED:
                raise
            saved = None
        if saved is None:
            return self._beside(replace(item, act=Act.BESIDE), disputes.get(item.path))
        self.saved[item.path] = "/".join([*folders, saved])
        return item

    def _exchanged(self, parent: int, name: str, item: Item) -> str | None:
        """Put the new version at a free name, then swap the two names: the old one is saved at every moment."""
        for saved in _named(name, SAVED):
            try:
                os.link(self._staged[item.path], saved, src_dir_fd=self._staging, dst_dir_fd=parent)
            except FileExistsError:
                if self._at(parent, saved).content != item.new:
                    continue  # another one that was saved
            try:
                if exchange(name, saved, one_dir=parent, other_dir=parent):
                    return saved
                os.unlink(saved, dir_fd=parent)
            except FileNotFoundError:
                os.unlink(saved, dir_fd=parent)
                raise
            if item.here.content is None:
                return None  # what isn't a file can't have a second name meanwhile
            os.link(name, saved, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)
            os.rename(self._staged[item.path], name, src_dir_fd=self._staging, dst_dir_fd=parent)
            return saved
        return None

    def _remove(self, item: Item) -> Item:
        *folders, name = item.path.split("/")
        try:
            with folder(self._data, folders) as parent:
                os.rename(name, _GONE, src_dir_fd=parent, dst_dir_fd=self._staging)
                if self._at(self._staging, _GONE) != item.here:
                    os.rename(_GONE, name, src_dir_fd=self._staging, dst_dir_fd=parent)
                    return replace(item, act=Act.RELEASE)
                os.unlink(_GONE, dir_fd=self._staging)
                self._touched.add("/".join(folders))
        except FileNotFoundError:
            return item
        except OSError as error:
            if error.errno not in _BARRED:
                raise
            return replace(item, act=Act.RELEASE)
        return item

    def _put(self, path: str, item: Item) -> None:
        """The staged file at that name as well, where the name is free; folders on the way are made."""
        *folders, name = path.split("/")
        with made_folder(self._data, folders, self._owner) as parent:
            os.link(self._staged[item.path], name, src_dir_fd=self._staging, dst_dir_fd=parent)
            self._touched.add("/".join(folders))

    @staticmethod
    def _at(parent: int, name: str) -> Here:
        return look_at(parent, name, largest=FILE_MAX_BYTES)


def _named(path: str, suffix: str, part: int | None = None) -> Iterator[str]:
    """`NAME.new`, then `NAME.2.new` and so on, of the last part of a path or of the one that bars the way."""
    parts = path.split("/")
    at = len(parts) - 1 if part is None else part
    endings = (suffix if number == 1 else f".{number}{suffix}" for number in count(1))
    for ending in islice(endings, NAMES_TRIED):
        yield "/".join([*parts[:at], parts[at] + ending, *parts[at + 1 :]])
