"""The kinds of secrets that there are, each with the places where it has to be; and what is done with all of them.

A new kind is a line of `KINDS` and a value in `Planted.secrets`, put there before or while the product runs.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from starlette.types import Receive, Scope, Send

from tests.support.echo_agent import IMAGE, PORT, PYTHON
from tests.support.fake_provider import FakeProvider, Reply, answers, fake_provider
from tests.support.installation import Installation
from tests.support.leaks import Kind
from tests.support.serving import serving

NANOBOT = "file:tenants/a/persistence/.nanobot"
CONTROL_PLANE = "environ:control-plane *"
SPEC = ("file:innkeeper.db*", "rows:*", "inspect:*", "environ:agent/*", "file:tenants/*/compose.yaml")
"""Where a tenant's `env` is, whatever it says: it is for settings, and `${secret:NAME}` is for secrets."""

ECHO = "echo:*"
"""The answer to whoever sent it just now: for kinds that are kept as a hash, or sealed, and so known to nobody."""

SAID = "container-log:crasher"
"""What an agent says is its own, and this one is made to say it; what we keep and show of it isn't."""

KINDS = (
    Kind(name="admin token", at_home=["file:admin-token", SAID]),
    Kind(name="master key", at_home=["file:keyring"]),
    Kind(name="provider key", at_home=[CONTROL_PLANE, SAID]),
    Kind(name="OIDC client secret", at_home=[CONTROL_PLANE]),
    Kind(name="JWT secret", at_home=[CONTROL_PLANE]),
    # `model.env` is read by the agent's shell, which hands it to the agent.
    Kind(name="database password", at_home=[CONTROL_PLANE]),
    Kind(name="broker token", at_home=[f"{NANOBOT}/model.env", "environ:agent/a *", SAID]),
    Kind(name="gateway token", at_home=[f"{NANOBOT}/config.json"]),
    Kind(name="tenant key"),
    Kind(name="API token"),
    Kind(name="session cookie"),
    Kind(name="outside JWT"),
    Kind(name="user's password", at_home=[ECHO]),
    Kind(name="inbox body", at_home=[ECHO]),
    Kind(name="inbox header", at_home=[ECHO]),
    Kind(name="inbox query", at_home=[ECHO]),
    Kind(name="tenant's env", at_home=[*SPEC, ECHO]),
    Kind(name="said by an agent", at_home=[SAID, ECHO]),
)


@dataclass
class Planted:
    """One secret of each kind, and what was answered and printed meanwhile."""

    secrets: dict[str, str] = field(default_factory=dict)
    said: dict[str, bytes] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    """Kinds that this installation hasn't got."""

    def new(self, kind: str, *, prefix: str = "Canary.") -> str:
        """A secret that looks like nothing in particular."""
        self.secrets[kind] = f"{prefix}{secrets.token_hex(4)}.{secrets.token_hex(12)}"
        return self.secrets[kind]

    def keep(self, place: str, content: str | bytes) -> None:
        """Something that was said, to be searched later."""
        data = content.encode() if isinstance(content, str) else content
        self.said[place] = self.said.get(place, b"") + data + b"\n"


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
async def others(planted: Planted) -> AsyncIterator[tuple[FakeProvider, dict[str, str]]]:
    """The other side, and the settings that lead to it."""
    async with fake_provider() as (provider, url), serving(identity_provider) as issuer:
        provider.script = answers
        yield (
            provider,
            {
                "OPENAI_API_KEY": planted.new("provider key"),
                "INNKEEPER_BROKER_PROVIDER": "openai",
                "INNKEEPER_OPENAI_BASE_URL": f"{url}/v1",
                "INNKEEPER_PRIVATE_HOSTS": json.dumps([url.removeprefix("http://")]),
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
