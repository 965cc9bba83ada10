"""A piece of internet for a test: a network namespace behind a route of this host's, with web servers and a name
server at public-looking addresses (TEST-NET-2, RFC 5737)."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

ZONE = Path(__file__).parent / "zone.py"


@dataclass(frozen=True, kw_only=True)
class World:
    """Where things are."""

    resolver: str
    webs: tuple[str, ...]
    """Each serves `web N` on port 80, N from 0."""


@asynccontextmanager
async def world(records: Mapping[str, Sequence[str]]) -> AsyncIterator[World]:
    """The world while the block runs; in `records` `{0}`, `{1}` … stand for the web servers' addresses."""
    block = list(IPv4Network("198.51.100.0/24").subnets(new_prefix=28))[secrets.randbelow(16)]
    host, resolver, *webs = (str(address) for address in list(block.hosts())[:6])
    name = f"ik{secrets.token_hex(4)}"
    outer, inner = f"{name}o", f"{name}i"
    folder = Path(tempfile.mkdtemp(prefix="ik-world-"))
    running: list[subprocess.Popen[str]] = []

    def within(*command: str) -> subprocess.Popen[str]:
        started = subprocess.Popen(["ip", "netns", "exec", name, *command], stdout=subprocess.PIPE, text=True)
        running.append(started)
        return started

    try:
        _ip("netns", "add", name)
        _ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", name)
        _ip("addr", "add", f"{host}/28", "dev", outer)
        _ip("link", "set", outer, "up")
        _ip("-n", name, "link", "set", "lo", "up")
        for address in (resolver, *webs):
            _ip("-n", name, "addr", "add", f"{address}/28", "dev", inner)
        _ip("-n", name, "link", "set", inner, "up")
        _ip("-n", name, "route", "add", "default", "via", host)
        for number, address in enumerate(webs):
            pages = folder / str(number)
            pages.mkdir()
            (pages / "index.html").write_text(f"web {number}\n")
            within("busybox", "httpd", "-f", "-p", f"{address}:80", "-h", str(pages))
        told = {each: [text.format(*webs) for text in texts] for each, texts in records.items()}
        server = within(sys.executable, str(ZONE), resolver, json.dumps(told))
        assert server.stdout
        assert await asyncio.to_thread(server.stdout.readline) == "ready\n"
        yield World(resolver=resolver, webs=tuple(webs))
    finally:
        for each in running:
            each.kill()
            each.wait()
            if each.stdout:
                each.stdout.close()
        subprocess.run(["ip", "link", "del", outer], stderr=subprocess.DEVNULL)
        subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)
        shutil.rmtree(folder)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
