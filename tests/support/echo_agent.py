"""An agent that echoes: WebSockets, server-sent events, uploads; run by the Python of the nanobot image."""

from __future__ import annotations

from typing import Any

PYTHON = "/opt/agent/bin/python"
IMAGE = "innkeeper/nanobot:0.3.5"
PORT = 9000

PROGRAM = """
import asyncio, hashlib, json
from aiohttp import web

async def health(request):
    return web.json_response({"ok": True})

async def headers(request):
    return web.json_response({name.lower(): value for name, value in request.headers.items()})

async def upload(request):
    digest, size = hashlib.sha256(), 0
    async for chunk in request.content.iter_chunked(1 << 16):
        digest.update(chunk); size += len(chunk)
    return web.json_response({"size": size, "sha256": digest.hexdigest()})

async def socket(request):
    ws = web.WebSocketResponse(); await ws.prepare(request)
    async for message in ws:
        await ws.send_str(message.data)
    return ws

async def events(request):
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"}); await answer.prepare(request)
    for number in range(10000):
        await answer.write(f"data: {number}\\n\\n".encode()); await asyncio.sleep(0.1)
    return answer

app = web.Application(client_max_size=1 << 30)
app.add_routes([web.get("/health", health), web.get("/headers", headers), web.post("/upload", upload),
                web.get("/socket", socket), web.get("/events", events)])
web.run_app(app, port=9000, print=None)
"""


def echo_spec(**limits: Any) -> dict[str, Any]:
    """The body that creates one."""
    return {
        "agent": "custom",
        "limits": {"memory_mb": 128, "cpus": 1.0, **limits},
        "custom": {"image": IMAGE, "port": PORT, "health_path": "/health", "command": [PYTHON, "-c", PROGRAM]},
    }
