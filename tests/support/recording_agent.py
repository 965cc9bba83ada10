"""An agent that writes down every webhook that it takes, and keeps that; run by the Python of the nanobot image."""

from __future__ import annotations

from typing import Any

from tests.support.echo_agent import IMAGE, PYTHON

PORT, OTHER_PORT = 9000, 9001

PROGRAM = """
import asyncio, json, os, random
from aiohttp import web

GOT = "/data/got"

async def health(request):
    return web.json_response({"ok": True})

async def take(request):
    body = await request.text()
    if request.path == "/moody":
        await asyncio.sleep(random.uniform(0, 0.15))
        if random.random() < 0.08:
            return web.Response(status=503)
    told = {name.lower(): value for name, value in request.headers.items()}
    got = {"path": request.path_qs, "port": request.transport.get_extra_info("sockname")[1], "body": body,
           "delivery": told["x-innkeeper-delivery"], "secret": told.get("x-secret"), "login": told.get("authorization")}
    with open(GOT, "a") as file:
        file.write(json.dumps(got) + "\\n"); file.flush(); os.fsync(file.fileno())
    return web.Response(status=401 if body == "refuse me" else 200, text="thank you")

async def tell(request):
    lines = open(GOT).read().splitlines() if os.path.exists(GOT) else []
    return web.json_response([json.loads(line) for line in lines])

def app():
    made = web.Application(client_max_size=1 << 26)
    made.add_routes([web.get("/health", health), web.get("/got", tell), web.get("/public", health),
                     web.post("/{path:.*}", take)])
    return made

async def main():
    for port in (9000, 9001):
        runner = web.AppRunner(app()); await runner.setup()
        await web.TCPSite(runner, "0.0.0.0", port).start()
    await asyncio.Event().wait()

asyncio.run(main())
"""


def recording_spec(**more: Any) -> dict[str, Any]:
    """The body that creates one."""
    return {
        "agent": "custom",
        "limits": {"memory_mb": 128, "cpus": 1.0},
        "custom": {"image": IMAGE, "port": PORT, "health_path": "/health", "command": [PYTHON, "-c", PROGRAM]},
        **more,
    }
