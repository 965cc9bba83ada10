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


async def _once(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            description="1 to 255 printable characters of your own. The same request with the same key is done once, "
            "however often it is sent; another request with the same key is refused (422)."
        ),
    ] = None,
) -> Once | None:
    if idempotency_key is None:
        return None
    if not _KEY.fullmatch(idempotency_key):
        raise Invalid("An Idempotency-Key has 1 to 255 printable ASCII characters.", field="Idempotency-Key")
    return Once(key=idempotency_key, fingerprint=await _fingerprint(request))


async def _fingerprint(request: Request) -> str:
    """A hash of what is asked for; how long the caller waits for it is no part of that."""
    asked = sorted((name, value) for name, value in request.query_params.multi_items() if name != "wait")
    parts = [request.method, request.url.path, json.dumps(asked), _canonical(await request.body())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _canonical(body: bytes) -> str:
    return json.dumps(json.loads(body), sort_keys=True) if body else ""


MaybeOnce = Annotated[Once | None, Depends(_once)]
"""The request's Idempotency-Key, as a handler's parameter."""
