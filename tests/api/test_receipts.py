"""Receipts through the API: the delete names one, and it can be had for good."""

from __future__ import annotations

import httpx2

from innkeeper.core.receipts import check
from innkeeper.keyring.signatures import verified
from tests.api.bench import Bench


async def purged(bench: Bench, api: httpx2.AsyncClient, name: str = "alice") -> str:
    """The id of its receipt."""
    await bench.tenant(name)
    operation = (await api.delete(f"/v1/tenants/{name}", params={"purge": True, "wait": 20})).json()
    assert operation["status"] == "done"
    receipt: str = operation["result"]["receipt"]
    # Its rows are gone, and it answers all the same.
    again = (await api.get(f"/v1/operations/{operation['id']}")).json()
    assert again["result"]["receipt"] == receipt
    return receipt


async def test_a_purge_names_its_receipt_which_holds(bench: Bench, api: httpx2.AsyncClient) -> None:
    receipt_id = await purged(bench, api)
    document = (await api.get(f"/v1/receipts/{receipt_id}")).json()
    key = (await api.get("/v1/receipts/key")).json()
    found = check(document, public_key=key["public_key"], key=key["id"], verify=verified)
    assert (found.id, found.tenant, found.faults) == (receipt_id, "alice", ())
    assert found.statement["asked"]["by"] == {"kind": "admin", "id": "admin", "name": ""}
    assert document["pending"] == ["database"]


async def test_receipts_are_listed_by_page_and_name(bench: Bench, api: httpx2.AsyncClient) -> None:
    ids = [await purged(bench, api, name) for name in ("alice", "bob", "alice")]
    page = (await api.get("/v1/receipts", params={"limit": 2})).json()
    rest = (await api.get("/v1/receipts", params={"cursor": page["next_cursor"]})).json()
    assert [each["id"] for each in page["items"] + rest["items"]] == ids
    assert rest["next_cursor"] is None
    hers = (await api.get("/v1/receipts", params={"tenant": "alice"})).json()["items"]
    assert [each["id"] for each in hers] == [ids[0], ids[2]]
    assert (hers[0]["asked_by"], hers[0]["pending"]) == ("admin", ["database"])


async def test_what_isnt_a_receipt_isnt_there(api: httpx2.AsyncClient) -> None:
    for wrong in ("rct_1", "rct_" + "0" * 26, "nonsense"):
        answer = await api.get(f"/v1/receipts/{wrong}")
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_receipt")


async def test_a_delete_alone_says_what_it_keeps(bench: Bench, api: httpx2.AsyncClient) -> None:
    await bench.tenant()
    operation = (await api.delete("/v1/tenants/alice", params={"wait": 20})).json()
    assert operation["result"] == {"receipt": None, "kept": ["folder", "data key", "snapshots", "usage"]}
