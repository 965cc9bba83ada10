"""What can't be: each gets its status, a documented code, a sentence and a hint, and changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from tests.api.bench import opened
from tests.api.judge import judged

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx2.AsyncClient]:
    """One house for all of this: nothing here may change it."""
    async with opened(tmp_path_factory.mktemp("data")) as bench, bench.client() as client:
        yield client


@pytest.mark.parametrize(
    "name", ["Alice", "a" * 41, "..", "a/b", "-a", "a-", "ä", "", " ", "a b", "a\n", "a\0", "a.b", "\uff41", "%2e%2e"]
)
async def test_names_that_cant_be(name: str, api: httpx2.AsyncClient) -> None:
    problem = judged(await api.post("/v1/tenants", json={"name": name, "agent": "plain"}), 400, "invalid_name")
    assert problem["field"] == "name"
    assert "a-z" in problem["hint"]
    assert (await api.get("/v1/tenants")).json()["items"] == []


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"limits": {"memory_mb": 63}}, "invalid_spec", "limits.memory_mb"),
        ({"limits": {"memory_mb": -1}}, "invalid_spec", "limits.memory_mb"),
        ({"limits": {"memory_mb": 10**30}}, "invalid_spec", "limits.memory_mb"),
        ({"limits": {"memory_mb": "lots"}}, "invalid_request", "limits.memory_mb"),
        ({"limits": {"cpus": 0}}, "invalid_spec", "limits.cpus"),
        ({"limits": {"cpus": -2}}, "invalid_spec", "limits.cpus"),
        ({"limits": {"cpus": 1e308}}, "invalid_spec", "limits.cpus"),
        ({"limits": {"pids": 1}}, "invalid_spec", "limits.pids"),
        ({"limits": {"disk_mb": 1}}, "invalid_request", "limits.disk_mb"),
        ({"agent": "skynet"}, "unknown_agent", "agent"),
        ({"release": "9.9"}, "unknown_release", "release"),
        ({"colour": "red"}, "invalid_request", "colour"),
        ({"wanted": "gone"}, "invalid_request", "wanted"),
        ({"mode": "shared"}, "invalid_request", "mode"),
        ({"sleep": {"pause_after_s": 0}}, "invalid_spec", "sleep.pause_after_s"),
        ({"sleep": {"pause_after_s": 900}}, "invalid_spec", "sleep.page_after_s"),
        ({"env": {"LD_PRELOAD": "x"}}, "invalid_spec", "env"),
        ({"env": {"A": "b\0"}}, "invalid_spec", "env"),
        ({"env": {"A": "x" * 40_000}}, "invalid_spec", "env"),
        ({"hostnames": ["bob.localhost"]}, "invalid_spec", "hostnames"),
        ({"hostnames": ["127.0.0.1"]}, "invalid_spec", "hostnames"),
        ({"custom": {"image": "x", "port": 80}}, "invalid_spec", "custom"),
        ({"custom": {"image": "x", "port": 0}}, "invalid_request", "custom.port"),
        ({"public_paths": ["/*"]}, "invalid_spec", "public_paths"),
        ({"public_paths": ["/a%2fb"]}, "invalid_spec", "public_paths"),
        ({"public_paths": [7]}, "invalid_request", "public_paths.0"),
        ({"inbox": [{"path": "/a"}, {"path": "/a"}]}, "invalid_spec", "inbox.1.path"),
        ({"inbox": [{"path": "/a", "id": "x"}]}, "invalid_spec", "inbox.0.id"),
        ({"inbox": [{"path": "/a", "port": 10**30}]}, "invalid_spec", "inbox.0.port"),
        ({"inbox": [{"id": "auto"}]}, "invalid_request", "inbox.0.path"),
    ],
)
async def test_specs_that_cant_be(body: dict[str, Any], code: str, field: str, api: httpx2.AsyncClient) -> None:
    problem = judged(await api.post("/v1/tenants", json={"name": "alice", "agent": "plain"} | body), 400, code)
    assert problem["field"] == field
    assert problem["hint"]
    assert (await api.get("/v1/tenants")).json()["items"] == []


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there", "ümlaut"])
async def test_idempotency_keys_that_cant_be(key: str, api: httpx2.AsyncClient) -> None:
    headers = {b"Idempotency-Key": key.encode("latin-1")}
    answer = await api.post("/v1/tenants", json={"name": "alice", "agent": "plain"}, headers=headers)
    assert judged(answer, 400, "invalid_request")["field"] == "Idempotency-Key"


@pytest.mark.parametrize("path", ["/wake", "/sleep", "/restart", "/chat", "/keys"])
async def test_an_unknown_tenant_can_do_nothing(path: str, api: httpx2.AsyncClient) -> None:
    body = {"message": "hello"} if path == "/chat" else None
    for name in ("nobody", "UPPER", "a%00b", "%F0%9F%90%99", "a" * 500):
        judged(await api.post(f"/v1/tenants/{name}{path}", json=body), 404, "unknown_tenant")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1/tenants/", 404, "not_found"),
        ("PUT", "/v1/tenants", 405, "method_not_allowed"),
        ("BREW", "/health", 405, "method_not_allowed"),
        ("GET", "/v1/operations/op_nothing", 404, "unknown_operation"),
        ("GET", "/v1/operations/op_00000000000000000000000000", 404, "unknown_operation"),
        ("GET", "/v1/operations/op_00000000000000000000000000?wait=1", 404, "unknown_operation"),
        ("GET", "/v1/operations/op_00000000000000000000000000?wait=601", 400, "invalid_request"),
        ("GET", "/v1/operations?tenant=a%00", 404, "unknown_tenant"),
        ("GET", "/v1/tenants?limit=0", 400, "invalid_request"),
        ("GET", "/v1/tenants?limit=501", 400, "invalid_request"),
        ("GET", "/v1/tenants?limit=many", 400, "invalid_request"),
        ("GET", "/v1/tenants?cursor=%21%21", 400, "invalid_request"),
        ("GET", "/v1/tenants?cursor=AAAA", 400, "invalid_request"),
        ("GET", "/v1/audit?cursor=YWxpY2U", 400, "invalid_request"),
        ("GET", "/v1/releases?agent=skynet", 400, "unknown_agent"),
        ("DELETE", "/v1/tenants/nobody", 404, "unknown_tenant"),
        ("DELETE", "/v1/tenants/nobody?purge=perhaps", 400, "invalid_request"),
    ],
)
async def test_requests_that_lead_nowhere(
    method: str, path: str, status: int, code: str, api: httpx2.AsyncClient
) -> None:
    judged(await api.request(method, path), status, code)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b'"text"', b"\xff\xfe", b"[" * 50_000, b"1" * 5000, b'{"name": "\\ud800", "agent": 1}'],
)
async def test_bodies_that_arent_what_they_should_be(body: bytes, api: httpx2.AsyncClient) -> None:
    answer = await api.post("/v1/tenants", content=body, headers={"Content-Type": "application/json"})
    judged(answer, 400, "invalid_request")


async def test_a_body_that_isnt_called_json_is_told_so(api: httpx2.AsyncClient) -> None:
    answer = await api.post("/v1/tenants", data={"name": "alice"})
    assert "application/json" in judged(answer, 400, "invalid_request")["hint"]


async def test_values_are_never_repeated(api: httpx2.AsyncClient) -> None:
    body = {"name": "alice", "agent": "plain", "env": {"TOKEN": ["hunter2hunter2"]}, "hunter3": 1}
    answer = await api.post("/v1/tenants", json=body)
    problem = judged(answer, 400, "invalid_request")
    assert [error["field"] for error in problem["errors"]] == ["env.TOKEN", "hunter3"]
    assert "hunter2" not in answer.text
