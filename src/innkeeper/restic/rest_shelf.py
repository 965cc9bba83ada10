"""A rest-server's repositories (https://restic.readthedocs.io/en/stable/REST_backend.html), which it doesn't list."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import httpx2

from innkeeper.core.redaction import redact
from innkeeper.core.snapshot_errors import BackupFailed, SnapshotDamaged, TargetRefused, TargetUnreachable
from innkeeper.restic.targets import Target

_TYPES = ("snapshots", "index", "data", "locks", "keys")
_VERSION = {"Accept": "application/vnd.x.restic.rest.v2"}
_GONE, _REFUSED, _FAULTS = (200, 204, 404), (401, 403, 405), 500


class RestShelf:
    """One rest-server."""

    def __init__(self, target: Target, credentials: Mapping[str, str]) -> None:
        self._url = target.url.removeprefix("rest:").rstrip("/")
        user, password = (credentials.get(f"RESTIC_REST_{each}") for each in ("USERNAME", "PASSWORD"))
        self._auth = httpx2.BasicAuth(user, password or "") if user else None

    async def owners(self, among: Sequence[str]) -> Sequence[str]:
        """Those of `among`: there is no way to ask for others."""
        return [owner for owner in among if await self.has(owner)]

    async def has(self, owner: str) -> bool:
        """By the config's head."""
        async with self._client() as client:
            return self._allowed(await client.head(f"{self._url}/{owner}/config")).status_code == httpx2.codes.OK

    async def put(self, owner: str, name: str, content: bytes) -> None:
        """As restic writes it."""
        async with self._client() as client:
            if name != "config":
                self._allowed(await client.post(f"{self._url}/{owner}/?create=true"))
            self._allowed(await client.post(f"{self._url}/{owner}/{name}", content=content))

    async def get(self, owner: str, name: str) -> bytes:
        """As restic reads it."""
        async with self._client() as client:
            answer = self._allowed(await client.get(f"{self._url}/{owner}/{name}"))
            if not answer.is_success:
                raise SnapshotDamaged(f"{name} isn't there any more.")
            return answer.content

    async def aside(self, owner: str, name: str) -> None:
        """It can't: such a server has no way to rename, and takes nothing that isn't what its name says."""
        raise BackupFailed(
            f"{name} is damaged, and a rest-server has no way to put it aside.",
            hint=f"Move it out of the repository {owner} on the server's own disk; the rest is done by itself then.",
        )

    async def names(self, owner: str, under: str = "") -> Sequence[str]:
        """By a listing of each folder."""
        names = ["config"] if not under and await self.has(owner) else []
        async with self._client() as client:
            for kind in (each for each in _TYPES if f"{each}/".startswith(under)):
                answer = self._allowed(await client.get(f"{self._url}/{owner}/{kind}/"))
                names += [f"{kind}/{each['name']}" for each in answer.json()] if answer.is_success else []
        return names

    async def clear(self, owner: str, under: str = "") -> Sequence[str]:
        """Every file. What an append-only server keeps is left; empty folders stay in any case."""
        left = []
        names = await self.names(owner, under)
        async with self._client() as client:
            for name in names:
                answer = await client.delete(f"{self._url}/{owner}/{name}")
                if answer.status_code not in _GONE:
                    left.append(name)
        return left

    def _allowed(self, answer: httpx2.Response) -> httpx2.Response:
        if answer.status_code in _REFUSED:
            raise TargetRefused(f"{self._url} doesn't let us in: it answers {answer.status_code}.")
        if answer.status_code >= _FAULTS:
            raise TargetUnreachable(f"{self._url} doesn't answer as it should: {answer.status_code}.")
        return answer

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[httpx2.AsyncClient]:
        # Its own environment's proxies and netrc are nothing to it.
        async with httpx2.AsyncClient(auth=self._auth, headers=_VERSION, timeout=60.0, trust_env=False) as client:
            try:
                yield client
            except (httpx2.HTTPError, ValueError) as error:
                raise TargetUnreachable(f"{self._url} doesn't answer: {redact(str(error))[:300]}") from None
