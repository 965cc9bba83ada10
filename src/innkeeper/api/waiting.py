"""Waiting on behalf of a request: no longer than it is worth, for the client may go and the server may stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

from fastapi import Query, Request, Response

from innkeeper.api.deps import Inn
from innkeeper.api.documents import operation_document
from innkeeper.api.schema import OperationDocument
from innkeeper.core.errors import Kind, Problem
from innkeeper.core.operations import Operation

WAIT_MAX_S = 600
Result = TypeVar("Result")
ACCEPTED: dict[str, Any] = {"status_code": 202}
"""What the decorator of a mutation says of its answers."""
Wait = Annotated[
    float,
    Query(ge=0, le=WAIT_MAX_S, description="Answer when the operation has ended, or after so many seconds."),
]


class Stopping(Problem):
    """The control plane is being stopped or restarted; nothing that was written down is lost."""

    code = "stopping"
    kind = Kind.NOT_READY
    default_hint = "Ask again in a few seconds."


async def until_over(work: Coroutine[object, object, Result], *, request: Request, inn: Inn) -> Result:
    """The result of `work`, unless the client leaves or the server stops first: then Stopping."""
    task = asyncio.create_task(work)
    ends = [asyncio.create_task(_left(request)), asyncio.create_task(inn.stopping.wait())]
    try:
        await asyncio.wait([task, *ends], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Stopping("The control plane is stopping.")
    finally:
        for each in (task, *ends):
            each.cancel()
        await asyncio.gather(task, *ends, return_exceptions=True)


async def accepted(
    operation: Operation, *, wait: float, request: Request, response: Response, inn: Inn
) -> OperationDocument:
    """The answer to a mutation: the operation, at its end where that comes within `wait` seconds."""
    if wait and not operation.status.ended:
        work = inn.control.wait(operation.id, timeout_s=wait)
        with contextlib.suppress(Stopping):  # what was asked for is written down: say so
            operation = await until_over(work, request=request, inn=inn)
    response.headers["Location"] = f"/v1/operations/{operation.id}"
    return operation_document(operation)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
