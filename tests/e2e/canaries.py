"""What the other side does with secrets, and an installation that has them in its settings."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from starlette.types import Receive, Scope, Send

from tests.e2e.canary_kinds import Planted
from tests.e2e.canary_uses import OtherSide, other_side
from tests.support.echo_agent import IMAGE, PORT, PYTHON
from tests.support.fake_provider import FakeProvider, Reply, answers, fake_provider
from tests.support.installation import Installation
from tests.support.serving import serving


def backwards(secret: str) -> str:
    """How an agent's program holds what it is to say, so that the program itself doesn't give it away."""
    return secret[::-1]


def crasher(*sayings: str) -> dict[str, Any]:
    """The body that creates an agent which says all that, and ends."""
    told = json.dumps([backwards(saying) for saying in sayings])
    program = f"import json, sys\nfor each in json.loads({told!r}): print(each[::-1], flush=True)\nsys.exit(3)\n"
    return {
        "agent": "custom",
        "limits": {"memory_mb": 64},
        "custom": {"image": IMAGE, "port": PORT, "health_path": "/health", "command": [PYTHON, "-c", program]},
    }


# --- the other side, which quotes what it gets ------------------------------------------------------------------------


async def quotes_the_key(reply: Reply) -> None:
    """A provider that refuses, and says what it has refused."""
    key = reply.asked.headers.get("authorization", "")
    message = {"error": {"message": f"Incorrect API key provided: {key}.", "headers": dict(reply.asked.headers)}}
    await reply.start(401, "application/json", x_request_id=key.split(" ")[-1])
    await reply.end(json.dumps(message).encode())


async def quotes_and_dies(reply: Reply) -> None:
    """One that breaks off in the middle of a stream, having quoted the key in pieces."""
    key = reply.asked.headers.get("authorization", "").encode()
    chunk = b'data: {"choices": [{"index": 0, "delta": {"content": "' + key
    await reply.start(200)
    await reply.write(chunk[:-9], chunk[-9:-3], chunk[-3:], b'"}}]}\n\n')


async def talks_html(reply: Reply) -> None:
    """One that is somebody else's error page, with the request on it."""
    await reply.start(502, "text/html")
    await reply.end(f"<pre>{dict(reply.asked.headers)} {reply.asked.body}</pre>".encode())


FAULTS = (quotes_the_key, quotes_and_dies, talks_html)


async def as_the_message_says(reply: Reply) -> None:
    """The fault that is asked for by its name."""
    asked = json.dumps(reply.asked.body)
    await next((fault for fault in FAULTS if fault.__name__ in asked), quotes_the_key)(reply)


async def identity_provider(scope: Scope, receive: Receive, send: Send) -> None:
    """An identity provider whose token endpoint refuses everybody and quotes the whole request."""
    body = b""
    while (message := await receive()).get("more_body"):
        body += message["body"]
    body += message.get("body", b"")
    issuer = f"http://{dict(scope['headers'])[b'host'].decode()}"
    status, told = 200, {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/auth",
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": f"{issuer}/keys",
    }  # fmt: skip
    if scope["path"] == "/token":
        quoted = f"{body.decode()} {scope['headers']}"
        status, told = 401, {"error": "invalid_client", "error_description": quoted}
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})


# --- an installation with all of it in its settings -------------------------------------------------------------------

SABOTEUR = Path(__file__).with_name("saboteur")
ISSUER, AUDIENCE = "https://issuer.example", "innkeeper-tests"


@asynccontextmanager
async def others(planted: Planted) -> AsyncIterator[tuple[FakeProvider, OtherSide, dict[str, str]]]:
    """The other side, and the settings that lead to it."""
    async with (
        fake_provider() as (provider, url),
        serving(identity_provider) as issuer,
        other_side(planted) as side,
    ):
        provider.script = answers
        yield (
            provider,
            side,
            {
                **side.settings(planted),
                "OPENAI_API_KEY": planted.new("provider key"),
                "INNKEEPER_BROKER_PROVIDER": "openai",
                "INNKEEPER_OPENAI_BASE_URL": f"{url}/v1",
                "INNKEEPER_PRIVATE_HOSTS": json.dumps([url.removeprefix("http://"), *side.hosts]),
                "INNKEEPER_OIDC_ISSUER": issuer,
                "INNKEEPER_OIDC_CLIENT_ID": "innkeeper",
                "INNKEEPER_OIDC_CLIENT_SECRET": planted.new("OIDC client secret"),
                "INNKEEPER_JWT_ISSUER": ISSUER,
                "INNKEEPER_JWT_AUDIENCE": AUDIENCE,
                "INNKEEPER_JWT_SECRET": planted.new("JWT secret", prefix="Canary.a-secret-that-is-long-enough."),
                "INNKEEPER_LOG_LEVEL": "debug",
                "PYTHONPATH": os.pathsep.join([str(SABOTEUR), os.environ.get("PYTHONPATH", "")]),
            },
        )


def console(inn: Installation) -> httpx2.AsyncClient:
    """A browser at the console, which follows nothing by itself."""
    headers = {"Host": f"console.localhost:{inn.edge_port}", "Sec-Fetch-Site": "same-origin"}
    return httpx2.AsyncClient(base_url=inn.edge_url, headers=headers, timeout=60, cookies=None)
