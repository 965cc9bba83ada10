"""TCP connections by both their ends, and the kernel's way to end one of them from outside: SOCK_DESTROY.

Both sides notice at once: the peer gets a reset, the program that holds the socket ECONNABORTED. It takes CAP_NET_ADMIN
and a kernel with CONFIG_INET_DIAG_DESTROY (linux/sock_diag.h, linux/inet_diag.h).
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import NamedTuple

from innkeeper.host.sock_diag import CLOSE_WAIT, ESTABLISHED, LOCAL_IN, REQUEST, any_of, at_port, dump, exchange

_SOCK_DESTROY = 21
_ACKNOWLEDGE = 4  # NLM_F_ACK

_FOUND = struct.Struct("=BxxxHH16s16s4xQ16xI")  # inet_diag_msg: family, ports, local, remote, cookie, inode
_IDENTITY = slice(4, 52)  # in an inet_diag_msg, its inet_diag_sockid
_WHICH = struct.Struct("=BBxxI48s")  # inet_diag_req_v2: family, protocol, states; inet_diag_sockid
_MAPPED = bytes(10) + b"\xff\xff"


class Line(NamedTuple):
    """A connection of a socket on this host; the cookie is never used for another one."""

    family: int
    identity: bytes
    """As the kernel wants to have it named."""
    local_port: int
    remote: str
    """An address in its usual form; that of an IPv4 client is IPv4, whatever the socket."""
    remote_port: int
    cookie: int
    inode: int


def lines(ports: Collection[int] = ()) -> Iterator[Line]:
    """The connections, or those with one of these local ports, that can still carry something to the other side.

    While others come and go the kernel may leave one out. Blocks, raises OSError.
    """
    only = any_of(LOCAL_IN, [at_port(port) for port in sorted(ports)])
    for family in (socket.AF_INET, socket.AF_INET6):
        # A client that has closed its side only can go on listening.
        for answer, at, _ in dump(family, only=only, states=ESTABLISHED | CLOSE_WAIT):
            yield _line(answer, at)


def destroy(line: Line) -> bool:
    """End it; False: it was gone. Blocks, raises OSError: EPERM, or EOPNOTSUPP where the kernel can't."""
    which = _WHICH.pack(line.family, socket.IPPROTO_TCP, ESTABLISHED | CLOSE_WAIT, line.identity)
    with suppress(FileNotFoundError):
        list(exchange(_SOCK_DESTROY, REQUEST | _ACKNOWLEDGE, which))
        return True
    return False


def _line(answer: memoryview, at: int) -> Line:
    family, local_port, remote_port, _, remote, cookie, inode = _FOUND.unpack_from(answer, at)
    identity = bytes(answer[at : at + 52][_IDENTITY])
    return Line(
        family, identity, socket.ntohs(local_port), _address(family, remote), socket.ntohs(remote_port), cookie, inode
    )


def _address(family: int, packed: bytes) -> str:
    if family == socket.AF_INET:
        return socket.inet_ntoa(packed[:4])
    if packed.startswith(_MAPPED):
        return socket.inet_ntoa(packed[12:])
    return str(ipaddress.IPv6Address(packed))
