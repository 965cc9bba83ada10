"""Names over the API: where hostnames point, and what Caddy alone may ask."""

from __future__ import annotations

import httpx2
import pytest

from innkeeper.core.specs import SpecPatch
from tests.api.bench import Bench


async def test_where_a_tenants_hostnames_point(bench: Bench) -> None:
    bench.zone.records["chat.example.com"] = {"192.0.2.10"}
    operation = await bench.house.create("alice", SpecPatch(hostnames=("chat.example.com", "www.example.com")))
    await bench.house.control.wait(operation.id, timeout_s=20)
    async with bench.client() as api:
        answer = await api.get("/v1/tenants/alice/hostnames")

    here, nowhere = answer.json()["items"]
    assert here["points_here"] is True
    assert here["addresses"] == ["192.0.2.10"]
    assert here["expected"] == ["192.0.2.10", "2001:db8::10"]
    assert nowhere["points_here"] is False
    assert nowhere["says"].startswith("www.example.com doesn't resolve: make it a CNAME of console.localhost")


async def test_of_nobody(bench: Bench) -> None:
    async with bench.client() as api:
        assert (await api.get("/v1/tenants/nobody/hostnames")).json()["code"] == "unknown_tenant"


@pytest.mark.parametrize(
    ("peer", "server", "status"),
    [
        ("127.0.0.1", "127.0.0.1", 200),
        ("::1", "::1", 200),
        ("192.0.2.10", "192.0.2.10", 200),  # this host itself, where the API listens elsewhere than on loopback
        ("192.0.2.11", "192.0.2.10", 404),
        (None, "127.0.0.1", 404),  # through the edge
    ],
)
async def test_only_this_host_may_ask_who_gets_a_certificate(
    bench: Bench, peer: str | None, server: str, status: int
) -> None:
    await bench.tenant()
    client = (peer, 1234) if peer else None
    transport = httpx2.ASGITransport(bench.app, client=client)  # type: ignore[arg-type]
    host = f"[{server}]" if ":" in server else server
    async with httpx2.AsyncClient(transport=transport, base_url=f"http://{host}") as caddy:
        assert (await caddy.get("/edge/ask?domain=alice.localhost")).status_code == status
        assert (await caddy.get("/edge/ask?domain=nobody.localhost")).status_code == 404
        assert (await caddy.get("/edge/ask")).status_code == 404


async def test_it_is_in_no_document(bench: Bench) -> None:
    async with bench.client() as api:
        assert not [path for path in (await api.get("/openapi.json")).json()["paths"] if path.startswith("/edge")]
