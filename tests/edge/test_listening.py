"""Who listens on a port, as the kernel's tables tell."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from innkeeper.edge.listening import who_listens
from tests.support.serving import free_port


def test_a_free_port() -> None:
    assert who_listens("127.0.0.1", free_port()) is None


@pytest.mark.parametrize("asked", ["127.0.0.1", "0.0.0.0", "::"])
def test_a_taken_port_and_its_owner(asked: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = who_listens(asked, server.getsockname()[1])

    assert found is not None
    assert found.pid == os.getpid()
    assert found.program == Path("/proc/self/comm").read_text().strip()


def test_a_listener_on_all_addresses_takes_each_of_them() -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        assert who_listens("127.0.0.1", server.getsockname()[1]) is not None


def test_two_addresses_can_have_the_same_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert who_listens("127.0.0.2", server.getsockname()[1]) is None


def test_ipv6() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        port = server.getsockname()[1]
        assert who_listens("::1", port) is not None
        assert who_listens("127.0.0.1", port) is None


def test_a_connection_is_no_listener() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
    with client:
        assert who_listens("127.0.0.1", server_port := client.getsockname()[1]) is None, server_port
