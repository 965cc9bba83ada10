"""The house itself: keys, operations, audit, status, doctor, health, metrics and the description of it all."""

from __future__ import annotations

import json
import re

import httpx2

from innkeeper import telemetry
from innkeeper.core.access import SYSTEM
from innkeeper.core.errors import StoreUnavailable
from innkeeper.host.doctor.finding import Finding, Status
from tests.api.bench import Bench


async def test_a_key_is_shown_once_and_kept_as_a_hash(api: httpx2.AsyncClient, bench: Bench) -> None:
    await bench.tenant()
    made = await api.post("/v1/tenants/alice/keys", json={"name": "phone"})
    assert made.status_code == 201
    secret = made.json()["key"]
    assert secret.startswith("ik_k_")
    listed = await api.get("/v1/tenants/alice/keys")
    assert listed.json()["items"] == [{name: value for name, value in made.json().items() if name != "key"}]
    assert secret not in listed.text
    assert "digest" not in made.text
    assert (await api.delete(f"/v1/tenants/alice/keys/{made.json()['id']}")).status_code == 204
    assert (await api.get("/v1/tenants/alice/keys")).json()["items"] == []
    again = await api.delete(f"/v1/tenants/alice/keys/{made.json()['id']}")
    assert (again.status_code, again.json()["code"]) == (404, "unknown_key")
    unnamed = await api.post("/v1/tenants/alice/keys")
    assert unnamed.json()["name"] == "default"


async def test_operations_are_listed_in_pages_and_by_tenant(api: httpx2.AsyncClient, bench: Bench) -> None:
    for name in ("alice", "bob", "carol"):
        await bench.tenant(name)
    first = (await api.get("/v1/operations?limit=2")).json()
    rest = (await api.get(f"/v1/operations?limit=2&cursor={first['next_cursor']}")).json()
    assert [each["tenant"] for each in first["items"] + rest["items"]] == ["alice", "bob", "carol"]
    assert rest["next_cursor"] is None
    assert [each["tenant"] for each in (await api.get("/v1/operations?tenant=bob")).json()["items"]] == ["bob"]
    assert (await api.get("/v1/operations?open=true")).json()["items"] == []


async def test_the_trail_tells_who_did_what_and_outlives_the_tenant(api: httpx2.AsyncClient, bench: Bench) -> None:
    assert (await api.post("/v1/tenants?wait=20", json={"name": "alice", "agent": "plain"})).status_code == 202
    assert (await api.delete("/v1/tenants/alice?purge=true&wait=20")).status_code == 202
    entries = (await api.get("/v1/audit?tenant=alice")).json()["items"]
    assert [(entry["actor"], entry["action"]) for entry in entries] == [
        ("admin", "tenant.create"),
        ("admin", "tenant.delete"),
        ("system", "tenant.erased"),
    ]
    page = (await api.get("/v1/audit?tenant=alice&limit=1")).json()
    following = (await api.get(f"/v1/audit?tenant=alice&limit=1&cursor={page['next_cursor']}")).json()
    assert [page["items"][0]["number"], following["items"][0]["number"]] == [
        entries[0]["number"],
        entries[1]["number"],
    ]


async def test_status_counts_and_names_what_is_down(api: httpx2.AsyncClient, bench: Bench) -> None:
    await bench.tenant("alice")
    await bench.tenant("bob")
    await _asleep(bench, "bob")
    status = (await api.get("/v1/status")).json()
    assert status["tenants"]["total"] == 2
    assert {state: number for state, number in status["tenants"]["by_state"].items() if number} == {
        "running": 1,
        "stopped": 1,
    }
    assert [(part["name"], part["up"]) for part in status["parts"]] == [("memory", True), ("caddy", False)]
    assert status["host"]["memory_mb"] > 0
    assert status["host"]["disk_free_mb"] > 0


async def test_health_is_open_and_as_its_clients_expect_it(bench: Bench) -> None:
    for name in ("alice", "bob"):
        await bench.tenant(name)
    await _asleep(bench, "bob")
    async with bench.client("") as anybody:
        answer = await anybody.get("/health")
        assert answer.json() == {
            "status": "ok",
            "containers": 2,
            "hibernation": {"running": 1, "paused": 0, "stopped": 1},
        }
        assert (await anybody.get("/ready")).json() == {"status": "ready"}
        bench.inn.stopping.set()
        stopping = await anybody.get("/ready")
        assert (stopping.status_code, stopping.json()["code"]) == (503, "stopping")
        assert (await anybody.get("/health")).status_code == 200


async def test_without_a_store_it_is_neither_ready_nor_silent(bench: Bench) -> None:
    def broken() -> None:
        raise StoreUnavailable("The database doesn't answer.")

    object.__setattr__(bench.inn.store, "look", broken)
    async with bench.client("") as anybody:
        for path in ("/health", "/ready"):
            answer = await anybody.get(path)
            assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")


async def test_the_doctor_says_what_fails_and_how_to_mend_it(api: httpx2.AsyncClient, bench: Bench) -> None:
    assert (await api.get("/v1/doctor")).json() == {
        "ok": True,
        "findings": [{"name": "docker", "status": "ok", "says": "Docker Engine 27 answers", "fix": None}],
    }
    bench.findings.append(Finding(name="disk", status=Status.FAIL, says="full", fix="Buy one."))
    sick = (await api.get("/v1/doctor")).json()
    assert (sick["ok"], sick["findings"][1]["fix"]) == (False, "Buy one.")


async def test_metrics_count_tenants_requests_and_nothing_by_name(api: httpx2.AsyncClient, bench: Bench) -> None:
    await bench.tenant("alice")
    await api.get("/v1/tenants/alice")
    await api.get("/v1/tenants/secret-customer")
    await api.get("/no/such/path-of-ours")
    await api.request("BREW", "/health")
    text = (await api.get("/metrics")).text
    assert 'innkeeper_tenants{state="running"} 1.0' in text
    assert 'innkeeper_tenants{state="paused"} 0.0' in text
    assert re.search(r'api_requests_total\{method="GET",route="/v1/tenants/\{name\}",status="200"\} [1-9]', text)
    assert re.search(r'api_requests_total\{method="GET",route="unmatched",status="404"\} [1-9]', text)
    assert "secret-customer" not in text
    assert "path-of-ours" not in text
    assert "BREW" not in text
    assert re.search(r'innkeeper_info\{version="[^"]+"\} 1.0', text)


async def test_what_the_bus_tells_is_counted(bench: Bench) -> None:
    bench.house.bus.on_event(telemetry.count_event)
    before = _value("operations", kind="provision", status="done"), _value("reconcile_steps", step="create")
    await bench.tenant()
    after = _value("operations", kind="provision", status="done"), _value("reconcile_steps", step="create")
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)


async def test_the_description_is_whole(api: httpx2.AsyncClient) -> None:
    described = (await api.get("/openapi.json")).json()
    text = json.dumps(described)
    assert "HTTPValidationError" not in text
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert operation["description"], where
            assert "application/problem+json" in operation["responses"]["default"]["content"], where
            for parameter in operation.get("parameters", ()):
                assert parameter["description"], f"{where} {parameter['name']}"
    references = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    assert references <= set(described["components"]["schemas"])


async def test_the_page_of_docs_names_every_path_and_loads_nothing(api: httpx2.AsyncClient) -> None:
    answer = await api.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for path in (await api.get("/openapi.json")).json()["paths"]:
        assert f"<code>{path}</code>" in answer.text
    assert re.findall(r"(?:src|href)=\"?([^\">]+)", answer.text) == ["/openapi.json"]
    assert "//" not in answer.text.replace("https://", "").split("</style>")[0]


def _value(name: str, **labels: str) -> float:
    return telemetry.REGISTRY.get_sample_value(f"innkeeper_{name}_total", labels) or 0.0


async def _asleep(bench: Bench, name: str) -> None:
    _, operation = await bench.house.control.sleep(name, "stop", actor=SYSTEM)
    assert (await bench.house.control.wait(operation.id, timeout_s=20)).status == "done"
