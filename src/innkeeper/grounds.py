"""The part of the composition root that chooses where instances run."""

from __future__ import annotations

from innkeeper.core.ports import Runtime
from innkeeper.host.pageout import PageOut
from innkeeper.runtimes.docker import DockerRuntime
from innkeeper.runtimes.memory import MemoryRuntime
from innkeeper.settings import Settings


def make_runtime(settings: Settings) -> Runtime:
    """The runtime that the settings name."""
    if settings.runtime == "memory":
        return MemoryRuntime(namespace=settings.namespace)
    return DockerRuntime(
        socket=settings.docker_socket,
        namespace=settings.namespace,
        pool=settings.network_pool,
        dns=settings.dns,
        broker_port=settings.broker_port,
        names_port=settings.names_port,
        pager=PageOut(),
    )
