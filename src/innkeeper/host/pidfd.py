"""Another process's sockets, borrowed by pidfd_getfd(2) and shut down: where the kernel has no SOCK_DESTROY for us.

The peer gets what was already written and then a proper end; the program that holds the socket reads its end, too. It
takes Linux 5.6 and the right to trace that process: the same user, or CAP_SYS_PTRACE.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

_SYS_PIDFD_GETFD = 438
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def sockets_of(pid: int) -> dict[int, int]:
    """The descriptor of each of its sockets, by inode; nothing of a process that has ended; PermissionError."""
    found = {}
    with suppress(FileNotFoundError, ProcessLookupError), os.scandir(f"/proc/{pid}/fd") as held:
        for link in held:
            with suppress(FileNotFoundError):  # closed meanwhile
                kind, _, inode = os.readlink(link.path).partition(":")  # noqa: PTH115 - there may be 20,000
                if kind == "socket":
                    found[int(inode.strip("[]"))] = int(link.name)
    return found


def shut_down(pid: int, sockets: Mapping[int, int]) -> int:
    """End those of its connections, of which the descriptors are given by inode; how many there still were.

    Blocks, raises OSError.
    """
    with _process(pid) as process:
        if process is None:
            return 0
        return sum(_shut_down(process, descriptor, inode) for inode, descriptor in sockets.items())


def reach(pid: int) -> None:
    """Raise OSError if its descriptors can't be found or borrowed."""
    sockets_of(pid)
    with _process(pid) as process:
        if process is not None:
            os.close(_borrow(process, 0))


def _shut_down(process: int, descriptor: int, inode: int) -> bool:
    try:
        borrowed = _borrow(process, descriptor)
    except OSError as error:
        if error.errno in (errno.EBADF, errno.ESRCH):  # closed, or all of the process ended, meanwhile
            return False
        raise
    try:
        # The number may have come to mean another file; what is borrowed stays what it is.
        there = os.fstat(borrowed)
        if not stat.S_ISSOCK(there.st_mode) or there.st_ino != inode:
            return False
        with socket.socket(fileno=os.dup(borrowed)) as theirs:
            theirs.shutdown(socket.SHUT_RDWR)
    except OSError as error:
        if error.errno != errno.ENOTCONN:
            raise
        return False
    finally:
        os.close(borrowed)
    return True


def _borrow(process: int, descriptor: int) -> int:
    borrowed: int = _libc.syscall(_SYS_PIDFD_GETFD, process, descriptor, 0)
    if borrowed < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return borrowed


@contextmanager
def _process(pid: int) -> Iterator[int | None]:
    """A handle on it; None: it has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield handle
    finally:
        os.close(handle)
