"""MADV_PAGEOUT on another process: its private memory goes to swap, whether it is frozen or runs."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterable, Iterator

Region = tuple[int, int]
"""First address, and the first behind it."""

BATCH_BYTES = 64 * 1024 * 1024
"""What one call pushes at most: tens of milliseconds, after which it can be stopped."""
BATCH_REGIONS = 512
_SYS_PROCESS_MADVISE = 440
_MADV_PAGEOUT = 21
_PASSED_OVER = {errno.EINVAL, errno.ENOMEM, errno.EAGAIN, errno.EINTR}
"""Locked, special or unmapped meanwhile: that region stays, the others go on."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def private_regions(maps: bytes) -> list[Region]:
    """From /proc/PID/maps: what belongs to the process alone and can hold pages."""
    found = []
    for line in maps.splitlines():
        span, permissions = line.split(maxsplit=2)[:2]
        # Without either it is reserved addresses, up to terabytes, or [vsyscall], for which the whole call is refused.
        if permissions.endswith(b"p") and permissions[:2] != b"--":
            first, end = (int(address, 16) for address in span.split(b"-"))
            found.append((first, end))
    return found


def batches(regions: Iterable[Region]) -> Iterator[list[Region]]:
    """What one call takes each time: neither too many regions nor too many bytes."""
    batch: list[Region] = []
    room_bytes = BATCH_BYTES
    for start, end in regions:
        at = start
        while at < end:
            piece_end = min(end, at + room_bytes)
            batch.append((at, piece_end))
            room_bytes -= piece_end - at
            at = piece_end
            if not room_bytes or len(batch) == BATCH_REGIONS:
                yield batch
                batch, room_bytes = [], BATCH_BYTES
    if batch:
        yield batch


def push(pidfd: int, regions: Iterable[Region], *, stopped: Callable[[], bool]) -> None:
    """Page out what can be; ProcessLookupError when the process has ended."""
    for batch in batches(regions):
        left = batch
        while left:
            if stopped():
                return
            left = _behind(left, page_out(pidfd, left))


def page_out(pidfd: int, regions: list[Region]) -> int:
    """One call; how many bytes it got through before a region that it can't take. With no region it only asks leave."""
    vector = (_Iovec * len(regions))(*(_Iovec(first, end - first) for first, end in regions))
    done: int = _libc.syscall(
        ctypes.c_long(_SYS_PROCESS_MADVISE),
        ctypes.c_int(pidfd),
        vector,
        ctypes.c_size_t(len(regions)),
        ctypes.c_int(_MADV_PAGEOUT),
        ctypes.c_uint(0),
    )
    if done >= 0:
        return done
    code = ctypes.get_errno()
    if code in _PASSED_OVER:
        return 0
    raise OSError(code, os.strerror(code))


def _behind(regions: list[Region], done_bytes: int) -> list[Region]:
    """What is left after the regions done and the one that stopped the call."""
    for number, (first, end) in enumerate(regions):
        if done_bytes < end - first:
            return regions[number + 1 :]
        done_bytes -= end - first
    return []
