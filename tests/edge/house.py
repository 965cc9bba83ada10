"""A door that does as it is told, an agent behind it, and a gate that lets them meet under a real Caddy."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
from starlette.types import Receive, Scope, Send

from innkeeper.core.access import ADMIN, Action, Actor, ActorKind, TenantRole, allow
from innkeeper.core.callers import Pass
from innkeeper.core.door import Door, Upstream
from innkeeper.core.errors import TenantNotReady
from innkeeper.core.instance import State
from innkeeper.core.people import Session
from innkeeper.core.people_errors import TicketRefused
from innkeeper.core.tenant import Access, Limits, Seen, Spec, Tenant
from innkeeper.core.waking import WakeStep, Waking
from innkeeper.edge.gate import Gate, Outcome
from innkeeper.edge.gate_server import GateServer
from tests.support.serving import serving

KEY = "ik_k_the-key-of-alice"
OTHER_KEY = "ik_k_the-key-of-bob"
AGENT_TOKEN = "the-agents-own-token"
BEARER = {"Authorization": f"Bearer {KEY}"}


def tenant(name: str, *, state: State = State.STOPPED, **said: Any) -> Tenant:
    """A tenant of that name, with so much said of its spec, whose instance was last seen in that state."""
    spec = Spec(agent="custom", release="1", image="sha256:0", limits=Limits(memory_mb=64, cpus=1), **said)
    seen = Seen(state=state)
    return Tenant(id=f"t_{name}", name=name, spec=spec, slot=0, created_at=datetime.now(UTC), seen=seen)


def _key(id_: str, tenant: str) -> Actor:
    return Actor(kind=ActorKind.KEY, id=id_, tenants={tenant: TenantRole.MEMBER}, only=tenant)


class ToldDoor(Door):
    """Answers from plain dictionaries that a test fills."""

    def __init__(self, *, deadline_s: float = 30) -> None:
        self.hosts = {f"{name}.localhost": tenant(name) for name in ("alice", "bob")}
        self.keys = {
            KEY: _key("k1", "alice"),
            OTHER_KEY: _key("k2", "bob"),
            "ik_a_admin": ADMIN,
        }
        self.upstreams: dict[str, Upstream] = {}
        self.opened = asyncio.Event()
        self.waiting = 0
        self.most_waiting = 0
        self.touches: list[str] = []
        self.woken: list[str] = []
        self.held: dict[str, tuple[Session, Actor]] = {}
        self.revoked = False
        self._outside = None
        self.told = Waking(step=WakeStep.START)
        self.within_s: float | None = None
        self.deadline = deadline_s

    def find(self, host: str) -> Tenant | None:
        return self.hosts.get(host)

    def holder(self, cookie: str, tenant: Tenant) -> tuple[Session, Actor] | None:
        return self.held.get(cookie)

    async def redeem(self, secret: str, tenant: Tenant, *, host: str, knock: str) -> tuple[str, str]:
        if secret != f"ticket-{host}-{knock}":
            raise TicketRefused("No.")
        return "the-cookie", "/where?they=went"

    def still(self, given: Pass) -> bool:
        return not self.revoked

    def identify(self, bearer: str) -> Actor | None:
        return self.keys.get(bearer)

    def admits(self, actor: Actor | None, tenant: Tenant) -> bool:
        return tenant.spec.access is Access.OPEN or (actor is not None and allow(actor, Action.ENTER, tenant.name))

    def upstream(self, tenant: Tenant) -> Upstream | None:
        return self.upstreams.get(tenant.name)

    async def enter(self, tenant: Tenant, *, within_s: float | None = None) -> Upstream:
        self.waiting += 1
        self.most_waiting = max(self.waiting, self.most_waiting)
        self.within_s = within_s
        try:
            async with asyncio.timeout(self.deadline):
                await self.opened.wait()
        except TimeoutError:
            raise TenantNotReady(f"{tenant.name} wasn't ready in time.") from None
        finally:
            self.waiting -= 1
        return self.upstreams[tenant.name]

    def wake(self, tenant: Tenant) -> None:
        self.woken.append(tenant.name)

    def progress(self, tenant: Tenant) -> Waking:
        return self.told

    def touched(self, tenant: Tenant) -> None:
        self.touches.append(tenant.name)

    def lead(self, name: str, url: str, *, authorization: str | None = AGENT_TOKEN, user: str | None = None) -> None:
        """From now on the tenant answers at `url`; `user` is whom its agent is told of."""
        said = {b"authorization": authorization and f"Bearer {authorization}", b"x-forwarded-user": user}
        headers = tuple((name, value.encode()) for name, value in said.items() if value)
        self.upstreams[name] = Upstream(address=url.removeprefix("http://"), headers=headers)


@dataclass
class FakeAgent:
    """What runs in the tenant: it tells what it was sent, streams when told to, and notices who leaves."""

    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    requests: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        self.requests += 1
        match scope["path"]:
            case "/events":
                await self._events(send)
            case "/forever":
                self.arrived.set()
                while (await receive())["type"] != "http.disconnect":
                    pass
                self.left.set()
            case _:
                await self._echo(scope, receive, send)

    async def _events(self, send: Send) -> None:
        start = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": start})
        await send({"type": "http.response.body", "body": b"data: one\n\n", "more_body": True})
        await self.go_on.wait()
        await send({"type": "http.response.body", "body": b"data: two\n\n"})

    async def _echo(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen, length = hashlib.sha256(), 0
        while True:
            message = await receive()
            seen.update(message.get("body", b""))
            length += len(message.get("body", b""))
            if not message.get("more_body"):
                break
        headers = [(name.decode(), value.decode()) for name, value in scope["headers"]]
        said = {"headers": headers, "length": length, "sha256": seen.hexdigest(), "path": scope["path"]}
        answer = [
            (b"content-type", b"application/json"),
            (b"server", b"agent/1.0"),
            (b"x-powered-by", b"agent"),
            (b"x-upstream", b"10.0.0.1:1"),
            (b"set-cookie", b"a=1; Path=/; Domain=localhost; HttpOnly"),
            (b"set-cookie", b"b=2; domain=.localhost"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": answer})
        await send({"type": "http.response.body", "body": json.dumps(said).encode()})


def headers_seen(answer: httpx2.Response) -> dict[str, str]:
    """The request's headers as they reached the agent, lower case."""
    return dict(answer.json()["headers"])


@dataclass
class Stage:
    """One test's surroundings."""

    port: int
    run: Path
    door: ToldDoor
    agent: FakeAgent
    agent_url: str
    gate: GateServer
    outcomes: list[Outcome]
    client: httpx2.AsyncClient
    """Talks to the edge; every request needs a Host."""

    def url(self, path: str = "/", host: str = "alice.localhost") -> str:
        """`path` at a host that resolves to this machine."""
        return f"http://{host}:{self.port}{path}"


@asynccontextmanager
async def stage(*, port: int, run: Path) -> AsyncIterator[Stage]:
    """A gate under the Caddy that listens on `port`, and alice's agent behind it."""
    door, agent, outcomes = ToldDoor(), FakeAgent(), list[Outcome]()
    gate = GateServer(Gate(door, inbox=run / "inbox.sock", count=outcomes.append), path=run / "gate.sock")
    async with (
        serving(agent) as agent_url,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client,
    ):
        door.lead("alice", agent_url)
        await gate.open()
        try:
            yield Stage(
                port=port, run=run, door=door, agent=agent, agent_url=agent_url, gate=gate, outcomes=outcomes,
                client=client,
            )  # fmt: skip
        finally:
            await gate.close()


async def raw(address: tuple[str, int] | Path, request: bytes) -> tuple[int, bytes]:
    """Send exactly these bytes; the answer's status and all of it."""
    if isinstance(address, Path):
        reader, writer = await asyncio.open_unix_connection(address)
    else:
        reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.splitlines() if line.lower().startswith(b"content-length:")), 0
        )
        return int(head.split(b" ", 2)[1]), head + await reader.readexactly(length)
    finally:
        writer.close()
