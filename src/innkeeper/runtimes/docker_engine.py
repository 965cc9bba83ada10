"""The border to the Docker Engine: deadlines on every call, and its errors in our words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiodocker
import aiohttp

from innkeeper.core.errors import Problem, RuntimeFault, RuntimeUnavailable

LOOK_S = 15.0
"""Deadline of calls that only look."""
ACT_S = 60.0
"""Deadline of calls that change something; a busy disk can make a start slow."""

_NOT_CONNECTED = 900  # aiodocker's own status


class NotThere(RuntimeFault):
    """The Engine knows no such thing."""


class Clash(RuntimeFault):
    """The thing isn't in a state for this, or its name or range is taken."""


class Engine:
    """One client of the Engine, which connects when it is first needed and again whenever it must."""

    def __init__(self, socket: str) -> None:
        self.socket = socket
        self._docker: aiodocker.Docker | None = None

    @property
    def docker(self) -> aiodocker.Docker:
        """The client; made inside the running loop, which aiohttp wants."""
        if self._docker is None:
            # No limit: hundreds of logs may be followed at once, each on a connection of its own.
            connector = aiohttp.UnixConnector(path=self.socket, limit=0)
            session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout())
            self._docker = aiodocker.Docker("http://engine", session=session, connector=connector)
        return self._docker

    @asynccontextmanager
    async def call(self, doing: str, *, timeout_s: float | None = LOOK_S) -> AsyncIterator[aiodocker.Docker]:
        """Talk to the Engine within a deadline; `doing` completes "The Docker Engine didn't …"."""
        try:
            async with asyncio.timeout(timeout_s):
                yield self.docker
        except TimeoutError as error:
            raise RuntimeUnavailable(f"The Docker Engine didn't {doing} within its deadline.") from error
        except aiodocker.DockerError as error:
            raise _translated(doing, error.status, error.message, self.socket) from error
        except (aiohttp.ClientError, OSError) as error:
            raise RuntimeUnavailable(f"The connection to the Docker Engine broke while asked to {doing}.") from error

    @asynccontextmanager
    async def stream(
        self, doing: str, path: str, params: Mapping[str, str], *, idle_s: float | None = None
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """An answer that goes on and on: one deadline for its beginning, `idle_s` for every pause within."""
        async with self.call(doing) as docker:
            if docker.api_version == "auto":
                await docker.version()
            url = f"{docker.docker_host}/{docker.api_version}/{path}"
            timeout = aiohttp.ClientTimeout(sock_read=idle_s)
            response = await docker.session.get(url, params=params, timeout=timeout)
        try:
            async with self.call(doing, timeout_s=None):
                if response.status >= 400:
                    raise _translated(doing, response.status, _message(await response.text()), self.socket)
                yield response.content
        finally:
            response.close()

    async def post(self, doing: str, path: str, body: Mapping[str, Any]) -> None:
        """Ask for a change that the client library has no words for."""
        async with self.call(doing, timeout_s=ACT_S) as docker:
            if docker.api_version == "auto":
                await docker.version()
            url = f"{docker.docker_host}/{docker.api_version}/{path}"
            async with docker.session.post(url, json=body) as response:
                if response.status >= 400:
                    raise _translated(doing, response.status, _message(await response.text()), self.socket)

    async def inspect(self, name_or_id: str) -> dict[str, Any] | None:
        """All that the Engine knows of a container; None when there is none."""
        try:
            async with self.call(f"look at {name_or_id}") as docker:
                return await docker.containers.container(name_or_id).show()
        except NotThere:
            return None

    async def close(self) -> None:
        """Let go of every connection."""
        if self._docker is not None:
            docker, self._docker = self._docker, None
            await docker.close()
            await docker.session.close()


def _message(body: str) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body[:500]


def _translated(doing: str, status: int, message: str, socket: str) -> Problem:
    if status == _NOT_CONNECTED:
        return RuntimeUnavailable(f"The Docker Engine doesn't answer at {socket}.")
    if status == 503:
        return RuntimeUnavailable(f"The Docker Engine isn't ready to {doing}: {message}")
    kind = {404: NotThere, 403: Clash, 409: Clash}.get(status, RuntimeFault)
    return kind(f"The Docker Engine refused to {doing}: {message}")
