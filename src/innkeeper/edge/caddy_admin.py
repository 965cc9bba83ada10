"""Caddy's own API on its unix socket: the one proof of which process is our Caddy, and the way to talk to it."""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import Any

import httpx2

from innkeeper.core.errors import EdgeFault

_TIMEOUT_S = 10.0
_CADDYFILE = {"Content-Type": "text/caddyfile"}


def listener_pid(path: Path) -> int | None:
    """The process that listens on the unix socket at `path`, as the kernel says; None: nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as client:
        try:
            client.connect(str(path))
        except OSError:
            return None
        pid, _, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(pid) or None


class CaddyAdmin:
    """A client of that API."""

    def __init__(self, socket_path: Path) -> None:
        self._path = socket_path

    def pid(self) -> int | None:
        """Caddy's process, or None when it isn't there."""
        return listener_pid(self._path)

    async def carries(self, caddyfile: str) -> bool:
        """Whether the running configuration is the one that `caddyfile` stands for."""
        adapted = (await self._call("POST", "/adapt", caddyfile))["result"]
        return bool(adapted == await self._call("GET", "/config/"))

    async def settled(self) -> None:
        """Return when Caddy has done with a configuration that it is loading: it listens by then."""
        await self._call("GET", "/config/")

    async def load(self, caddyfile: str) -> None:
        """Change to this configuration; open streams live on under the old one."""
        await self._call("POST", "/load", caddyfile)

    async def stop(self) -> None:
        """Ask Caddy to end."""
        await self._call("POST", "/stop")

    async def _call(self, method: str, path: str, caddyfile: str | None = None) -> Any:
        transport = httpx2.AsyncHTTPTransport(uds=str(self._path), verify=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=_TIMEOUT_S) as client:
            try:
                answer = await client.request(
                    method, path, content=caddyfile, headers=_CADDYFILE if caddyfile is not None else {}
                )
            except httpx2.HTTPError as error:
                raise EdgeFault(f"Caddy's admin socket doesn't answer to {method} {path}.") from error
        if answer.status_code != 200:
            raise EdgeFault(f"Caddy refused {method} {path}: {_reason(answer)}")
        return answer.json() if answer.content else None


def _reason(answer: httpx2.Response) -> str:
    try:
        return str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}"
