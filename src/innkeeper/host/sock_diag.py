"""The kernel's dump of TCP connections over NETLINK_SOCK_DIAG, in its own wire format; `sockets` makes sense of it.

`sock_destroy` speaks the same language to end some of them.

Any user may ask, for every user's sockets. What is asked about is the network namespace of this process.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network
from typing import NamedTuple

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
REQUEST, _DUMP = 0x1, 0x300  # NLM_F_REQUEST, NLM_F_DUMP
_ERROR, _DONE = 2, 3
_INFO = 2  # INET_DIAG_INFO, the attribute that holds a tcp_info
_BYTECODE = 1  # INET_DIAG_REQ_BYTECODE
_JUMP, LOCAL_IN, _REMOTE_IN = 1, 7, 8  # INET_DIAG_BC_JMP, INET_DIAG_BC_S_COND, INET_DIAG_BC_D_COND
ESTABLISHED, CLOSE_WAIT = 1 << 1, 1 << 8

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ASK = struct.Struct("=BBBxI48x")  # inet_diag_req_v2: family, protocol, extensions, states; any socket
_FOUND = struct.Struct("=24x4s16xQ16xI")  # inet_diag_msg: the remote address (the first of its words), cookie, inode
_ATTRIBUTE = struct.Struct("=HH")  # nlattr: length, type
_STEP = struct.Struct("=BBH")  # inet_diag_bc_op: code, bytes to go on by when true, when false
_END = struct.Struct("=BBxxi")  # inet_diag_hostcond: family, prefix length, port (-1: any); an address follows
_INFORMED = struct.Struct("=44xI4xI64xQQ")  # tcp_info: last_data_sent, last_data_recv, bytes_acked, bytes_received
_CODE = struct.Struct("=i")  # of NLMSG_DONE and NLMSG_ERROR: 0, or an errno below zero

_BUFFER_BYTES = 65536  # the kernel fills at most 32 KiB a time
_PATIENCE_S = 5.0  # the kernel answers at once or never


class Connection(NamedTuple):
    """An established connection as this host counts it; the cookie is never used for another one."""

    cookie: int
    inode: int
    remote: str
    bytes_in: int
    bytes_out: int
    in_ms_ago: int = 0
    out_ms_ago: int = 0
    """When something last came in and went out; something that never did, when the connection was made."""


def established(networks: Sequence[IPv4Network]) -> Iterator[Connection]:
    """The established connections with a remote address in one of the networks; blocks, raises OSError."""
    for answer, at, end in dump(socket.AF_INET, only=_filter(networks), states=ESTABLISHED, told=1 << (_INFO - 1)):
        yield _connection(answer, at, end)


def dump(family: int, *, only: bytes = b"", states: int, told: int = 0) -> Iterator[tuple[memoryview, int, int]]:
    """The TCP sockets of a family in one of these states (a bit each) that the filter lets through: for each an
    inet_diag_msg with the attributes told of, as a buffer, where in it, and where its end is. Raises OSError."""
    ask = _ASK.pack(family, socket.IPPROTO_TCP, told, states)
    choice = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(only), _BYTECODE) + only if only else b""
    return exchange(_SOCK_DIAG_BY_FAMILY, REQUEST | _DUMP, ask + choice)


def exchange(kind: int, flags: int, body: bytes) -> Iterator[tuple[memoryview, int, int]]:
    """One request, and what answers it up to the kernel's last word; if that is an errno, OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as netlink:
        netlink.settimeout(_PATIENCE_S)
        netlink.sendto(_HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body, (0, 0))
        answer = memoryview(bytearray(_BUFFER_BYTES))
        while True:
            end = netlink.recv_into(answer)
            at = 0
            while at < end:
                length, kind, *_ = _HEADER.unpack_from(answer, at)
                if kind in (_DONE, _ERROR):
                    return _finish(answer, at + _HEADER.size)
                yield answer, at + _HEADER.size, at + length
                at += _aligned(length)


def _filter(networks: Sequence[IPv4Network]) -> bytes:
    """Is the remote address in any of these?"""
    return any_of(
        _REMOTE_IN, [_END.pack(socket.AF_INET, each.prefixlen, -1) + each.network_address.packed for each in networks]
    )


def any_of(test: int, ends: Sequence[bytes]) -> bytes:
    """A program for the kernel: does the test hold with any of these? To end is yes, to jump past the end is no."""
    program = b""
    for end in reversed(ends):
        found = _STEP.pack(_JUMP, _STEP.size, _STEP.size + len(program)) if program else b""
        test_bytes = _STEP.size + len(end)
        program = _STEP.pack(test, test_bytes, test_bytes + _STEP.size) + end + found + program
    return program


def at_port(port: int) -> bytes:
    """An end of a connection with that port, whatever its address."""
    return _END.pack(socket.AF_UNSPEC, 0, port)


def _connection(answer: memoryview, at: int, end: int) -> Connection:
    remote, cookie, inode = _FOUND.unpack_from(answer, at)
    at += _FOUND.size
    while at < end:
        length, kind = _ATTRIBUTE.unpack_from(answer, at)
        if kind == _INFO:
            sent_ms_ago, received_ms_ago, acked, received = _INFORMED.unpack_from(answer, at + _ATTRIBUTE.size)
            # The SYN is acknowledged as a byte where the host opened the connection, which isn't told; where the
            # tenant did, the first byte to it goes uncounted.
            bytes_out = acked - 1 if acked else 0
            address = socket.inet_ntoa(remote)
            return Connection(cookie, inode, address, received, bytes_out, received_ms_ago, sent_ms_ago)
        at += _aligned(length)
    raise OSError("the kernel told of a connection without its TCP_INFO")


def _finish(answer: memoryview, at: int) -> None:
    (code,) = _CODE.unpack_from(answer, at)
    if code < 0:
        raise OSError(-code, os.strerror(-code))


def _aligned(length: int) -> int:
    return (length + 3) & ~3
