"""The CLI's way to the API: HTTP, problem documents as exceptions, pages as one iterator, event streams."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import httpx2

from innkeeper.cli.exits import Stop, failed, refused, unreachable

_TIMEOUT = httpx2.Timeout(30.0, connect=5.0)
_PATIENT = httpx2.Timeout(30.0, connect=5.0, read=None)
Params = Mapping[str, str | int | float | bool | list[str] | None]


class Client:
    """One control plane, and the credential for it."""

    def __init__(self, *, api: str, token: str | None) -> None:
        self._api = api
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # Proxies of the environment are not for this: they would get to see the token.
        self._http = httpx2.Client(base_url=f"http://{api}", headers=headers, timeout=_TIMEOUT, trust_env=False)

    def document(self, path: str, params: Params | None = None) -> dict[str, Any]:
        """The document at `path`."""
        return self.send("GET", path, params=params)

    def send(
        self, method: str, path: str, *, body: object = None, params: Params | None = None, patient: bool = False
    ) -> dict[str, Any]:
        """The document that the API answers with; Stop when it refuses or, unless `patient`, takes half a minute."""
        try:
            response = self._http.request(
                method, path, json=body, params=_given(params), timeout=_PATIENT if patient else _TIMEOUT
            )
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from error
        if response.is_error:
            raise _refusal(response)
        answer: dict[str, Any] = response.json() if response.content else {}
        return answer

    def items(self, path: str, params: Params | None = None) -> Iterator[dict[str, Any]]:
        """Every item of a list, page after page."""
        asked = {"limit": 500, **(params or {})}
        while True:
            page = self.document(path, asked)
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            asked["cursor"] = page["next_cursor"]

    def events(
        self, method: str, path: str, *, body: object = None, params: Params | None = None
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """The events of a stream as name and data; Stop at an event `error`."""
        try:
            with self._http.stream(method, path, json=body, params=_given(params), timeout=_PATIENT) as response:
                if response.is_error:
                    response.read()
                    raise _refusal(response)
                for event in httpx2.EventSource(response, max_event_size=None):
                    data = event.json()
                    if not isinstance(data, dict):
                        continue
                    if event.event == "error":
                        raise refused(int(data.get("status", 500)), data)
                    yield event.event, data
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from error

    def text(self, path: str, params: Params | None = None) -> str:
        """What stands at `path`, where that is no document."""
        try:
            response = self._http.get(path, params=_given(params))
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from error
        if response.is_error:
            raise _refusal(response)
        return response.text

    def upload(
        self, method: str, path: str, pieces: Iterable[bytes], *, kind: str, params: Params | None = None
    ) -> dict[str, Any]:
        """Send a large body as it comes; the document that is answered."""
        headers = {"Content-Type": kind}
        try:
            response = self._http.request(
                method, path, content=pieces, params=_given(params), headers=headers, timeout=_PATIENT
            )
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from error
        if response.is_error:
            raise _refusal(response)
        answer: dict[str, Any] = response.json()
        return answer

    def download(self, path: str, params: Params | None = None, *, to: Path | None) -> int:
        """What stands at `path`, into a file that is there when it is whole, or to standard output; in bytes."""
        size = 0
        try:
            with (
                self._http.stream("GET", path, params=_given(params), timeout=_PATIENT) as response,
                _written(response, to) as file,
            ):
                for chunk in response.iter_bytes():
                    size += file.write(chunk)
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from error
        return size

    def _unreachable(self, error: httpx2.HTTPError) -> Stop:
        return unreachable(self._api, str(error) or type(error).__name__)


@contextmanager
def _written(response: httpx2.Response, to: Path | None) -> Iterator[BinaryIO]:
    """Where an answer goes: nowhere if it is a refusal."""
    if response.is_error:
        response.read()
        raise _refusal(response)
    if to is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        with tempfile.NamedTemporaryFile(dir=to.absolute().parent, prefix=f".{to.name}.", delete=False) as file:
            part = Path(file.name)  # of mode 0600, and it stays so
            try:
                yield cast("BinaryIO", file)
                file.flush()
                os.fsync(file.fileno())
                part.replace(to)
            except BaseException:
                part.unlink()
                raise
    except OSError as error:
        raise failed("unwritable", f"{to} can't be written: {error.strerror}.") from error


def _given(params: Params | None) -> dict[str, str | int | float | bool | list[str]]:
    return {name: value for name, value in (params or {}).items() if value is not None}


def _refusal(response: httpx2.Response) -> Stop:
    if response.headers.get("content-type", "").startswith("application/problem+json"):
        return refused(response.status_code, response.json())
    return failed(
        "not_innkeeper",
        f"What answers at {response.url.host}:{response.url.port} isn't an Innkeeper (status {response.status_code}).",
        "Say where the control plane is with INNKEEPER_API.",
    )
