"""Any program in any image that answers HTTP on one port, as the tenant's spec describes it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from innkeeper.agents.silent import Silent
from innkeeper.core.errors import InvalidSpec
from innkeeper.core.openings import InboxPath
from innkeeper.core.ports import ConfigFile, Entrance, Probe, Seat
from innkeeper.core.tenant import CustomAgent, Limits, Spec

_SEAT_PATH = ".innkeeper/seat.json"


class Custom(Silent):
    """How a program that we know nothing of is told its place, asked and entered."""

    name = "custom"
    title = "Custom"
    limits = Limits(memory_mb=512, cpus=1.0)
    floor_mb = 16
    minimum_version: str | None = None
    own_image = True
    stop_grace_s = 15
    start_timeout_s = 120
    workspace = "workspace"
    hopeless_exits = frozenset({126, 127})  # the command can't be run, or isn't there

    def config_paths(self) -> Sequence[str]:
        """The file that tells it where the broker is; its own config is its own business."""
        return (_SEAT_PATH,)

    def render(self, seat: Seat, existing: Mapping[str, bytes]) -> Sequence[ConfigFile]:
        """A description of the seat, wholly ours: whatever was there is replaced."""
        place = {
            "tenant": seat.tenant,
            "origins": list(seat.origins),
            "broker_url": seat.broker_url,
            "broker_token": seat.broker_token,
            "model": seat.model,
            "gateway_token": seat.gateway_token,
            "edge_address": seat.edge_address,
            "config": dict(seat.config),
            "fenced": seat.fenced,
        }
        return [ConfigFile(path=_SEAT_PATH, content=json.dumps(place, indent=2).encode() + b"\n")]

    def caches(self) -> Sequence[str]:
        """Nothing is known of it."""
        return ()

    def check_config(self, config: Mapping[str, Any]) -> None:
        """Whatever it says."""

    def keeps_secret(self, path: tuple[str, ...]) -> bool:
        """Nothing is known of it, so nothing has to be inside: it calls what it needs by the broker."""
        return False

    def command(self, spec: Spec) -> tuple[str, ...]:
        """The spec's, or the image's own."""
        return _told(spec).command

    def env(self, spec: Spec) -> Mapping[str, str]:
        """Where the description of its seat lies."""
        mount = _told(spec).mount
        return {"HOME": mount, "INNKEEPER_SEAT": f"{mount.rstrip('/')}/{_SEAT_PATH}"}

    def fence(self, spec: Spec) -> Mapping[str, str]:
        """All that can be done for an unknown program is to tell it."""
        return {"INNKEEPER_FENCED": "1"}

    def mount(self, spec: Spec) -> str:
        """The spec's."""
        return _told(spec).mount

    def probe(self, spec: Spec) -> Probe:
        """The spec's path."""
        return Probe(port=_told(spec).port, path=_told(spec).health_path)

    def is_ready(self, status: int, body: bytes) -> bool:
        """All that can be said of an unknown program: it answers, and not with an error."""
        return 200 <= status < 400

    def health_command(self, spec: Spec) -> Sequence[str]:
        """Nothing is known of what its image has; that may have a check of its own."""
        return ()

    def entrance(self, spec: Spec, gateway_token: str) -> Entrance:
        """With a token by which the program can tell that a request came through the edge."""
        return Entrance(port=_told(spec).port, headers={"Authorization": f"Bearer {gateway_token}"})

    def listens_to(self, existing: Mapping[str, bytes]) -> Sequence[str]:
        """Nothing is known of it: its operator says `wanted: awake` where it must not sleep."""
        return ()

    def webhooks(self, existing: Mapping[str, bytes]) -> Sequence[InboxPath]:
        """Its operator says which paths are inboxes."""
        return ()

    def examination(self, spec: Spec) -> Sequence[str]:
        """Nothing is known of what it keeps."""
        return ()

    def examined(self, output: bytes) -> int | None:
        """It never is."""
        return None

    def sessions(self, spec: Spec, gateway_token: str) -> Probe | None:
        """It can't be asked."""
        return None

    def sessions_told(self, status: int, body: bytes) -> int | None:
        """It is never asked."""
        return None

    def chat_model(self, spec: Spec) -> str | None:
        """It need not have such an endpoint."""
        return None


def _told(spec: Spec) -> CustomAgent:
    if spec.custom is None:
        raise InvalidSpec("A custom agent needs an image and a port.", field="custom")
    return spec.custom
