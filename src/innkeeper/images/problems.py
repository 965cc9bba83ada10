"""What can go wrong while an image is made, beyond the errors of the core."""

from __future__ import annotations

from innkeeper.core.errors import ImageBuildFailed, Kind


class ToolMissing(ImageBuildFailed):
    """A program or a privilege that building from packages needs isn't there."""

    code = "image_tool_missing"
    kind = Kind.UNAVAILABLE


class NoMirror(ImageBuildFailed):
    """The machine's apt sources name no mirror of its own distribution."""

    code = "image_no_mirror"
    kind = Kind.UNAVAILABLE
    default_hint = "Add the distribution's own mirror to /etc/apt/sources.list.d/."


class RegistryUnreachable(ImageBuildFailed):
    """The agent's image registry was asked for by name and doesn't answer."""

    code = "image_registry_unreachable"
    kind = Kind.UNAVAILABLE
    default_hint = "Check the network, or build with `--source packages`."


class BuildDiskFull(ImageBuildFailed):
    """There isn't enough free space to build an image."""

    code = "image_disk_full"
    kind = Kind.UNAVAILABLE
    default_hint = "Free some space, for instance with `docker image prune`, and try again."
