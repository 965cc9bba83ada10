"""Commands that begin an operation: asked for, waited for with its progress shown, told."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from innkeeper.cli import show
from innkeeper.cli.exits import ExitCode, Stop, failed
from innkeeper.cli.paths import path_part

if TYPE_CHECKING:  # it brings a whole HTTP client, which `--help` can do without
    from innkeeper.cli.client import Client, Params

AWAY_S = 60.0
"""How long a control plane that restarts may be away while its operation is waited for."""
_PAUSE_S = 0.5
WAIT_STEP_S = 1
"""How long one question about an operation waits; the next one shows its progress."""


def operate(
    client: Client,
    method: str,
    path: str,
    *,
    tenant: str,
    body: object = None,
    params: Params | None = None,
    wait: bool,
    as_json: bool,
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The operation that the request began, at its end with `wait`, and the tenant, if it is there.

    With `as_json` prints the tenant with the operation in it; Stop when the operation failed.
    """
    operation = client.send(method, path, body=body, params=params)
    if wait:
        operation = ended(client, operation)
    found = _tenant(client, tenant)
    if as_json:
        show.document({**(found or {"name": tenant, "state": "absent"}), "operation": operation})
    if operation["status"] == "failed":
        raise Stop(operation["error"], ExitCode.FAILED, told=as_json)
    return operation, found


def ended(client: Client, operation: dict[str, Any]) -> dict[str, Any]:
    """The operation at its end, with its progress on stderr meanwhile."""
    with show.progress() as tell:
        try:
            while operation["status"] in ("queued", "running"):
                tell(_says(operation))
                operation = _later(client, operation["id"], tell)
        except KeyboardInterrupt:
            raise failed(
                "interrupted",
                "Stopped waiting; the work goes on.",
                f"Look at it with `innkeeper operation show {operation['id']}`.",
            ) from None
    return operation


def _later(client: Client, operation_id: str, tell: Callable[[str], None]) -> dict[str, Any]:
    """The operation a little later; a control plane that is being restarted is waited for."""
    patience_ends = time.monotonic() + AWAY_S
    while True:
        try:
            return client.document(f"/v1/operations/{operation_id}", {"wait": WAIT_STEP_S})
        except Stop as stop:
            is_away = stop.exit_code is ExitCode.UNREACHABLE or stop.document.get("code") == "stopping"
            if not is_away or time.monotonic() > patience_ends:
                raise
        tell("the control plane is away; waiting for it")
        time.sleep(_PAUSE_S)


def _says(operation: dict[str, Any]) -> str:
    progress, held_up = operation["progress"], operation["error"]
    says = f"{operation['tenant'] or 'the database'}: {progress['step']}"
    if progress["of"] > 1:
        says += f" ({progress['done'] + 1} of {progress['of']})"
    return says + (f" - held up: {held_up['detail']}" if held_up else "")


def _tenant(client: Client, name: str) -> dict[str, Any] | None:
    try:
        return client.document(f"/v1/tenants/{path_part(name)}")
    except Stop as stop:
        if stop.exit_code is ExitCode.NOT_FOUND:
            return None
        raise
