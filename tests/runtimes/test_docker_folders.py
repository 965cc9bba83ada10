"""Folders read out of real images, of which nothing is run and nothing stays."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import AsyncIterator

import pytest

from innkeeper.core.errors import ImageMissing
from innkeeper.core.pack_errors import UnknownPack
from innkeeper.runtimes.docker_folders import LABEL, DockerFolders
from tests.support.docker_bench import ENGINE_SOCKET, DockerBench, docker_bench

pytestmark = pytest.mark.docker


@pytest.fixture
async def bench() -> AsyncIterator[DockerBench]:
    async with docker_bench() as bench:
        yield bench


@pytest.fixture
async def folders(bench: DockerBench) -> AsyncIterator[DockerFolders]:
    folders = DockerFolders(socket=ENGINE_SOCKET, namespace=bench.namespace)
    yield folders
    await folders.close()


async def left(bench: DockerBench) -> int:
    filters = json.dumps({"label": [f"{LABEL}={bench.namespace}"]})
    return len(await bench.docker.containers.list(all=1, filters=filters))


async def test_a_folder_comes_as_a_tarball_and_nothing_stays(bench: DockerBench, folders: DockerFolders) -> None:
    for _ in range(2):
        async with folders.folder(bench.image, "/bin") as chunks:
            content = b"".join([chunk async for chunk in chunks])
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            names = tar.getnames()
        assert names[0].rstrip("/") == "bin"
        assert len(names) > 1
        assert await left(bench) == 0


async def test_what_isnt_there_is_told(bench: DockerBench, folders: DockerFolders) -> None:
    with pytest.raises(UnknownPack):
        async with folders.folder(bench.image, "/no/such/folder"):
            pass
    with pytest.raises(ImageMissing):
        async with folders.folder("sha256:" + "0" * 64, "/bin"):
            pass
    assert await left(bench) == 0
    assert (await bench.runtime.get("alice")).exists is False
