"""Makes and removes Innkeeper's own swap: a zram device, and a file on disk with a lower priority."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from innkeeper.core.errors import Conflict, DiskFull, Forbidden, RuntimeFault
from innkeeper.host.swap import MB, Advice, available_bytes, swap_areas, zram_devices

ZRAM_PRIORITY = 100
FILE_PRIORITY = 10
_PAGE = os.sysconf("SC_PAGE_SIZE")
_LABEL_AT = slice(1052, 1068)


class OwnSwap:
    """The swap that is ours: each area's own header says so, so no record can differ from what is there."""

    def __init__(
        self,
        *,
        label: str = "innkeeper",
        proc_root: Path = Path("/proc"),
        sys_root: Path = Path("/sys"),
        dev_root: Path = Path("/dev"),
    ) -> None:
        self._label = label
        self._proc = proc_root
        self._sys = sys_root
        self._dev = dev_root

    async def set_up(self, advice: Advice, *, file: Path) -> None:
        """Make what is advised and put it to use; what is ours already stays as it is. It lasts until a reboot."""
        await asyncio.to_thread(self._set_up, advice, file)

    async def take_down(self, *, file: Path) -> None:
        """Give up what is ours and nothing else; Conflict when its content has no room in memory."""
        await asyncio.to_thread(self._take_down, file)

    def _set_up(self, advice: Advice, file: Path) -> None:
        _demand_root()
        with self._alone():
            if advice.zram_bytes:
                device = self._our_zram() or self._make_zram(advice.zram_bytes, advice.zram_algorithm)
                self._use(device, ZRAM_PRIORITY)
            if advice.file_bytes:
                if not self._is_ours(file):
                    self._make_file(file, advice.file_bytes)
                self._use(file, FILE_PRIORITY)

    def _take_down(self, file: Path) -> None:
        _demand_root()
        with self._alone():
            areas = [area for area in swap_areas(self._proc) if self._is_ours(Path(area.path))]
            used_mb, free_mb = sum(area.used_bytes for area in areas) // MB, available_bytes(self._proc) // MB
            if used_mb > free_mb:
                raise Conflict(
                    f"{used_mb} MB lie in this swap, and only {free_mb} MB of memory are free to take them back.",
                    hint="Stop some tenants, then try again.",
                )
            for area in areas:
                _run("swapoff", area.path)
            while (device := self._our_zram()) is not None:
                (self._sys / "block" / device.name / "reset").write_text("1")
            if self._is_ours(file):
                file.unlink()
            _unfinished(file).unlink(missing_ok=True)

    def _our_zram(self) -> Path | None:
        devices = (self._dev / folder.name for folder in zram_devices(self._sys))
        return next((device for device in devices if self._is_ours(device)), None)

    def _make_zram(self, size_bytes: int, algorithm: str | None) -> Path:
        folder = self._half_made(size_bytes) or self._claimed(size_bytes, algorithm)
        device = self._dev / folder.name
        try:
            _run("mkswap", "--label", self._label, str(device))
        except RuntimeFault:
            (folder / "reset").write_text("1")
            raise
        return device

    def _half_made(self, size_bytes: int) -> Path | None:
        """A device of our size that nothing was ever written to: we were stopped before its header."""
        for folder in zram_devices(self._sys):
            size, stored = (folder / "disksize").read_text(), (folder / "mm_stat").read_text().split()[0]
            if int(size) == size_bytes and stored == "0":
                return folder
        return None

    def _claimed(self, size_bytes: int, algorithm: str | None) -> Path:
        free = [folder for folder in zram_devices(self._sys) if int((folder / "disksize").read_text()) == 0]
        for folder in free:
            try:
                return _sized(folder, size_bytes, algorithm)
            except OSError as error:
                if error.errno != errno.EBUSY:  # another program was quicker
                    raise
        number = (self._sys / "class/zram-control/hot_add").read_text().strip()
        return _sized(self._sys / "block" / f"zram{number}", size_bytes, algorithm)

    def _make_file(self, file: Path, size_bytes: int) -> None:
        if os.path.lexists(file):
            raise Conflict(f"{file} is there already, and isn't a swap file of ours.", hint="Choose another path.")
        unfinished = _unfinished(file)
        unfinished.unlink(missing_ok=True)
        try:
            _allocate(unfinished, size_bytes)
            _run("mkswap", "--label", self._label, str(unfinished))
            unfinished.rename(file)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise

    def _use(self, path: Path, priority: int) -> None:
        if all(area.path != str(path.resolve()) for area in swap_areas(self._proc)):
            _run("swapon", "--priority", str(priority), str(path))

    def _is_ours(self, path: Path) -> bool:
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return False
        with os.fdopen(handle, "rb") as area:
            header = area.read(_PAGE)
        return header.endswith(b"SWAPSPACE2") and header[_LABEL_AT].rstrip(b"\0") == self._label.encode()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two of us at once would make two devices."""
        folder = os.open(self._sys / "block", os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)


def _sized(folder: Path, size_bytes: int, algorithm: str | None) -> Path:
    if algorithm is not None:
        (folder / "comp_algorithm").write_text(algorithm)
    (folder / "disksize").write_text(str(size_bytes))
    return folder


def _allocate(path: Path, size_bytes: int) -> None:
    # Asked first: finding out by allocating would fill the disk for a moment.
    if shutil.disk_usage(path.parent).free < size_bytes:
        raise DiskFull(f"No room for a swap file of {size_bytes // MB} MB in {path.parent}.", hint="Free some space.")
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        os.posix_fallocate(handle, 0, size_bytes)
        os.fsync(handle)
    finally:
        os.close(handle)


def _unfinished(file: Path) -> Path:
    return file.with_name(f"{file.name}.unfinished")


def _demand_root() -> None:
    if os.geteuid() != 0:
        raise Forbidden("Only root can change this host's swap.", hint="Run it with sudo.")


def _run(*arguments: str) -> None:
    # A plain user's PATH, which sudo may keep, lacks the folder where these programs are.
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    try:
        ended = subprocess.run(
            arguments, check=False, env={"PATH": path, "LC_ALL": "C"}, capture_output=True, text=True
        )
    except FileNotFoundError as error:
        raise RuntimeFault(f"{arguments[0]} isn't there.", hint="Install util-linux.") from error
    if ended.returncode:
        raise RuntimeFault(f"{arguments[0]} failed: {ended.stderr.strip()}")
