"""The kernel's dump of TCP connections over NETLINK_SOCK_DIAG, in its own wire format; `sockets` makes sense of it.

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
_REQUEST_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_ERROR, _DONE = 2, 3
_INFO = 2  # INET_DIAG_INFO, the attribute that holds a tcp_info
_BYTECODE = 1  # INET_DIAG_REQ_BYTECODE
_JUMP, _REMOTE_IN = 1, 8  # INET_DIAG_BC_JMP, INET_DIAG_BC_D_COND
_ESTABLISHED = 1 << 1

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ASK = struct.Struct("=BBBxI48x")  # inet_diag_req_v2: family, protocol, extensions, states; any socket
_FOUND = struct.Struct("=24x4s16xQ16xI")  # inet_diag_msg: the remote address (the first of its words), cookie, inode
_ATTRIBUTE = struct.Struct("=HH")  # nlattr: length, type
_STEP = struct.Struct("=BBH")  # inet_diag_bc_op: code, bytes to go on by when true, when false
_NETWORK = struct.Struct("=BBxxi4s")  # inet_diag_hostcond: family, prefix length, port (-1: any), address
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
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as netlink:
        netlink.settimeout(_PATIENCE_S)
        netlink.sendto(_request(networks), (0, 0))
        answer = memoryview(bytearray(_BUFFER_BYTES))
        while True:
            end = netlink.recv_into(answer)
            at = 0
            while at < end:
                length, kind, *_ = _HEADER.unpack_from(answer, at)
                if kind in (_DONE, _ERROR):
                    return _finish(answer, at + _HEADER.size)
                yield _connection(answer, at + _HEADER.size, at + length)
                at += _aligned(length)


def _request(networks: Sequence[IPv4Network]) -> bytes:
    ask = _ASK.pack(socket.AF_INET, socket.IPPROTO_TCP, 1 << (_INFO - 1), _ESTABLISHED)
    only = _filter(networks)
    body = ask + _ATTRIBUTE.pack(_ATTRIBUTE.size + len(only), _BYTECODE) + only
    return _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0) + body


def _filter(networks: Sequence[IPv4Network]) -> bytes:
    """A program for the kernel: is the remote address in any of these? To end is yes, to jump past the end is no."""
    test_bytes = _STEP.size + _NETWORK.size
    program = b""
    for network in reversed(networks):
        found = _STEP.pack(_JUMP, _STEP.size, _STEP.size + len(program)) if program else b""
        test = _STEP.pack(_REMOTE_IN, test_bytes, test_bytes + _STEP.size)
        where = _NETWORK.pack(socket.AF_INET, network.prefixlen, -1, network.network_address.packed)
        program = test + where + found + program
    return program


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
