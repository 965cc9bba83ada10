"""`Idempotency-Key`: the same request sent again begins nothing new."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated

from fastapi import Depends, Header, Request

from innkeeper.core.errors import Invalid
from innkeeper.core.once import Once

_KEY = re.compile(r"[ -~]{1,255}")


async def _key(
    idempotency_key: Annotated[
        str | None,
        Header(
            description="1 to 255 printable characters of your own. The same request with the same key is done once, "
            "however often it is sent; another request with the same key is refused (422)."
        ),
    ] = None,
) -> str | None:
    if idempotency_key is not None and not _KEY.fullmatch(idempotency_key):
        raise Invalid("An Idempotency-Key has 1 to 255 printable ASCII characters.", field="Idempotency-Key")
    return idempotency_key


MaybeKey = Annotated[str | None, Depends(_key)]
"""The Idempotency-Key alone, of a request whose body is too large to be held."""


async def _once(request: Request, key: MaybeKey) -> Once | None:
    return None if key is None else once_of(request, key, _canonical(await request.body()))


def once_of(request: Request, key: str, body: str) -> Once:
    """The key with a hash of what is asked for, of which `body` is a part, or stands for one; how long the caller waits
    for it is none."""
    asked = sorted((name, value) for name, value in request.query_params.multi_items() if name != "wait")
    parts = [request.method, request.url.path, json.dumps(asked), body]
    return Once(key=key, fingerprint=hashlib.sha256("\n".join(parts).encode()).hexdigest())


def _canonical(body: bytes) -> str:
    return json.dumps(json.loads(body), sort_keys=True) if body else ""


MaybeOnce = Annotated[Once | None, Depends(_once)]
"""The request's Idempotency-Key, as a handler's parameter."""
