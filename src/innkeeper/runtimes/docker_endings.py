"""How containers ended last, heard from the events: the Engine forgets it as soon as it has restarted one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from innkeeper.core.instance import Instance, State


@dataclass(frozen=True, kw_only=True)
class Ending:
    """One end of a container's process."""

    exit_code: int
    out_of_memory: bool


class Endings:
    """What was heard while somebody listened; nothing hangs on it but the wording of errors and an early end."""

    def __init__(self) -> None:
        self._last: dict[str, Ending] = {}
        self._out_of_memory: set[str] = set()

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take note of an event of the Engine's."""
        container_id = event["Actor"]["ID"]
        match event["Action"]:
            case "oom":
                self._out_of_memory.add(container_id)
            case "die":
                self._last[container_id] = Ending(
                    exit_code=int(event["Actor"]["Attributes"].get("exitCode") or 0),
                    out_of_memory=container_id in self._out_of_memory,
                )
                self._out_of_memory.discard(container_id)
            case "destroy":
                self._last.pop(container_id, None)
                self._out_of_memory.discard(container_id)

    def recall(self, instance: Instance) -> Instance:
        """The instance, with the end before its last restart where it is known."""
        ending = self._last.get(instance.id or "")
        if ending is None or not instance.restarts or instance.stuck or instance.state is not State.RUNNING:
            return instance
        return replace(instance, exit_code=ending.exit_code, out_of_memory=ending.out_of_memory)
