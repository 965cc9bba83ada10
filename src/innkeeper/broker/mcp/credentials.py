"""Credentials for servers of tools: looked up for each request, and known to nobody but it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from innkeeper.broker.mcp.problems import ToolCredentialMissing
from innkeeper.broker.mcp.servers import Server
from innkeeper.core.errors import Problem
from innkeeper.core.ports.integrations import Integrations
from innkeeper.core.ports.secrets import Secrets

_NAMED = re.compile(r"\$\{(secret|integration):([^}]+)\}")


@dataclass(frozen=True, kw_only=True)
class Filled:
    """Headers with the credentials in them, and those once more by themselves, to be blotted out of what comes back."""

    headers: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


class Credentials:
    """Puts in what headers only name."""

    def __init__(self, *, secrets: Secrets, integrations: Integrations | None) -> None:
        self._secrets = secrets
        self._integrations = integrations

    async def fill(self, server: Server) -> Filled:
        """The server's headers as they are sent; raises ToolCredentialMissing, whatever it was that is missing."""
        headers, secrets = {}, []
        for name, value in server.spec.headers.items():
            filled, at = [], 0
            for found in _NAMED.finditer(value):
                secret = await self._value(server, found[1], found[2])
                filled += [value[at : found.start()], secret]
                secrets.append(secret)
                at = found.end()
            headers[name] = "".join([*filled, value[at:]])
        return Filled(headers=headers, secrets=tuple(secrets))

    async def _value(self, server: Server, kind: str, name: str) -> str:
        try:
            value = (await self._look_up(server, kind, name)).strip()
        except Problem as problem:
            raise ToolCredentialMissing(
                f"The {kind} {name[:60]!r} for {server.name} can't be had: {problem.message}", hint=problem.hint or None
            ) from problem
        if not value or not value.isascii() or not value.isprintable():
            raise ToolCredentialMissing(
                f"The {kind} {name[:60]!r} for {server.name} can't be sent in a header.",
                hint="Credentials in headers are one line of ASCII.",
            )
        return value

    async def _look_up(self, server: Server, kind: str, name: str) -> str:
        if kind == "secret":
            return await self._secrets.reveal(name, None if server.house else server.tenant)
        if self._integrations is None:
            raise ToolCredentialMissing("there are no integrations here.")
        return await self._integrations.token(name, server.tenant)
