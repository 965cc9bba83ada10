"""Far places by their own protocols: for what restic can't do there, which is to list, publish and remove
repositories as a whole."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol, cast

from innkeeper.core.redaction import redact
from innkeeper.core.snapshot_errors import BackupFailed, SnapshotDamaged, TargetRefused, TargetUnreachable
from innkeeper.restic.targets import GOOGLE, Target

if TYPE_CHECKING:
    from obstore.store import AzureConfig, AzureStore, ClientConfig, GCSConfig, GCSStore, RetryConfig, S3Config, S3Store

    Objects = AzureStore | GCSStore | S3Store

_AWS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_AZURE = {"AZURE_ACCOUNT_NAME": "account_name", "AZURE_ACCOUNT_KEY": "account_key", "AZURE_ACCOUNT_SAS": "sas_key"}
ASIDE = ".aside-"
"""What the names begin with of places beside repositories, where damaged files of theirs lie."""
_TIMEOUT_S = 60.0
_AT_ONCE = 500
"""So many objects are removed by one call."""
_S3 = re.compile(r"s3:(?://)?(?:(?P<scheme>https?)://)?(?P<host>[^/]+)/(?P<bucket>[^/]+)/?(?P<prefix>.*)")
_BUCKET = re.compile(r"(?:gs|azure):(?P<bucket>[^:/]+):?/?(?P<prefix>.*)")
_REFUSED = re.compile(r"status code: 40[13]")
_TOLD = 300


class Shelf(Protocol):
    """A far place. Raises TargetUnreachable, TargetRefused, BackupFailed."""

    async def owners(self, among: Sequence[str]) -> Sequence[str]:
        """Whose repositories lie there; where it can't be listed, those of `among`."""
        ...

    async def has(self, owner: str) -> bool:
        """Whether the owner has one."""
        ...

    async def names(self, owner: str) -> Sequence[str]:
        """What lies in the owner's: `config`, `keys/…`."""
        ...

    async def put(self, owner: str, name: str, content: bytes) -> None:
        """Write a file of the owner's repository."""
        ...

    async def get(self, owner: str, name: str) -> bytes:
        """Read one."""
        ...

    async def aside(self, owner: str, name: str) -> None:
        """Move one out of the repository, to the place beside it; fine where it is gone."""
        ...

    async def clear(self, owner: str, under: str = "") -> Sequence[str]:
        """Remove all of it, or what lies under `keys/`, say; the names that are left."""
        ...


class ObjectShelf:
    """S3 and what speaks it, Google Cloud Storage, Azure Blob Storage."""

    def __init__(self, target: Target, credentials: Mapping[str, str]) -> None:
        self._target = target
        self._objects = _objects(target, credentials)

    async def owners(self, among: Sequence[str]) -> Sequence[str]:
        """By one listing of the folders."""
        import obstore

        with _translated(self._target):
            found = await obstore.list_with_delimiter_async(self._objects)
        names = [prefix.rstrip("/").rpartition("/")[2] for prefix in found["common_prefixes"]]
        return sorted(name for name in names if not name.startswith("."))

    async def has(self, owner: str) -> bool:
        """By the config's head."""
        import obstore

        try:
            with _translated(self._target):
                await obstore.head_async(self._objects, f"{owner}/config")
        except FileNotFoundError:
            return False
        return True

    async def names(self, owner: str, under: str = "") -> Sequence[str]:
        """By a listing."""
        import obstore

        with _translated(self._target):
            listed = obstore.list(self._objects, f"{owner}/{under}")
            return [each["path"].removeprefix(f"{owner}/") async for batch in listed for each in batch]

    async def put(self, owner: str, name: str, content: bytes) -> None:
        """As one object."""
        import obstore

        with _translated(self._target):
            await obstore.put_async(self._objects, f"{owner}/{name}", content)

    async def get(self, owner: str, name: str) -> bytes:
        """As one object."""
        import obstore

        try:
            with _translated(self._target):
                found = await obstore.get_async(self._objects, f"{owner}/{name}")
                return bytes(await found.bytes_async())
        except FileNotFoundError:
            raise SnapshotDamaged(f"{name} isn't there any more.") from None

    async def aside(self, owner: str, name: str) -> None:
        """Copied, then removed. What lies there already by that name was just as damaged, and has another one then."""
        import obstore

        there = set(await self.names(f"{ASIDE}{owner}"))
        free = next(each for each in (name, *(f"{name}.{number}" for number in range(1, 1000))) if each not in there)
        with suppress(FileNotFoundError), _translated(self._target):
            await obstore.rename_async(self._objects, f"{owner}/{name}", f"{ASIDE}{owner}/{free}")

    async def clear(self, owner: str, under: str = "") -> Sequence[str]:
        """Every object; older versions in a bucket that keeps those are for its own life cycle."""
        import obstore

        names = await self.names(owner, under)
        # The config goes first, so that half a repository isn't taken for a whole one.
        names = sorted(names, key=lambda name: name != "config")
        with _translated(self._target):
            for at in range(0, len(names), _AT_ONCE):
                await obstore.delete_async(self._objects, [f"{owner}/{name}" for name in names[at : at + _AT_ONCE]])
        return await self.names(owner, under)


def _objects(target: Target, credentials: Mapping[str, str]) -> Objects:
    from obstore.store import AzureStore, GCSStore, S3Store  # a library of its own for each, which few hosts need

    retries: RetryConfig = {"max_retries": 3, "retry_timeout": timedelta(seconds=_TIMEOUT_S)}
    options: ClientConfig = {"timeout": timedelta(seconds=_TIMEOUT_S), "connect_timeout": timedelta(seconds=20)}
    if target.kind == "s3":
        found = _S3.fullmatch(target.url)
        if found is None:
            raise BackupFailed("The target's URL isn't `s3:https://HOST/BUCKET/PREFIX`.")
        plain: ClientConfig = {"allow_http": found["scheme"] == "http"}
        s3 = {
            "endpoint": f"{found['scheme'] or 'https'}://{found['host']}",
            "region": credentials.get("AWS_DEFAULT_REGION", "us-east-1"),
            **{key.lower(): credentials[key] for key in _AWS if key in credentials},
        }
        return S3Store(
            found["bucket"],
            prefix=found["prefix"],
            config=cast("S3Config", s3),
            virtual_hosted_style_request=False,
            client_options=plain | options,
            retry_config=retries,
        )
    bucket = _BUCKET.fullmatch(target.url)
    if bucket is None:
        raise BackupFailed(f"The target's URL isn't `{target.kind}:BUCKET:/PREFIX`.")
    if target.kind == "gs":
        gs = {"service_account_key": credentials[GOOGLE]} if GOOGLE in credentials else {}
        return GCSStore(
            bucket["bucket"],
            prefix=bucket["prefix"],
            config=cast("GCSConfig", gs),
            client_options=options,
            retry_config=retries,
        )
    azure = {name: credentials[key] for key, name in _AZURE.items() if key in credentials}
    return AzureStore(
        bucket["bucket"],
        prefix=bucket["prefix"],
        config=cast("AzureConfig", azure),
        client_options=options,
        retry_config=retries,
    )


@contextmanager
def _translated(target: Target) -> Iterator[None]:
    from obstore import exceptions

    try:
        yield
    except FileNotFoundError:
        raise
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        raise TargetRefused(f"{target.url} doesn't let us in: {_first_line(error)}") from None
    except (exceptions.BaseError, OSError) as error:
        if _REFUSED.search(_first_line(error)):  # of a listing
            raise TargetRefused(f"{target.url} doesn't let us in: {_first_line(error)}") from None
        raise TargetUnreachable(f"{target.url} doesn't answer as it should: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return redact(str(error).partition("\n")[0])[:_TOLD]
