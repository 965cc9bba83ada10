"""`innkeeper integration` against a control plane that answers."""

from __future__ import annotations

from datetime import timedelta

from innkeeper.core.integration import Connection, KeptTokens
from tests.api.bench import Bench
from tests.cli.conftest import Run


async def connected(bench: Bench) -> None:
    """As an owner does it by browser."""
    tenant, now = await bench.house.tenant("alice"), bench.house.clock.now()
    row = Connection(
        id="int_1",
        tenant=tenant.name,
        tenant_id=tenant.id,
        integration="google",
        connected_by="usr_ann",
        connected_as="ann@example.com",
        connected_at=now,
        scopes=("files", "mail"),
        expires_at=now + timedelta(hours=1),
    )
    async with bench.house.store.begin() as tx:
        await tx.integrations.put(row)
    kept = KeptTokens(connection="int_1", access_token="an-access-token", refresh_token="a-refresh-token")
    bench.house.named_secrets.put("integration.google", kept.dumps(), "alice")


async def test_listing_connecting_and_disconnecting(inn: Run, bench: Bench) -> None:
    await bench.tenant("alice")
    listed = await inn("integration", "list", "alice")
    assert listed.out.splitlines()[0].split() == ["NAME", "TITLE", "IS", "BY", "SINCE", "SCOPES", "ERROR"]
    assert listed.out.splitlines()[1].split() == ["google", "Google", "disconnected"]

    told = await inn("integration", "connect", "alice", "google")
    url = "http://console.localhost:8080/integrations/connect?tenant=alice&integration=google"
    assert (told.code, told.out) == (0, url + "\n")
    assert "signed in" in told.err
    assert (await inn("integration", "connect", "alice", "google", "--json")).document == {"url": url}

    await connected(bench)
    (one,) = (await inn("integration", "list", "alice", "--json")).document
    assert (one["standing"], one["connected_as"]) == ("connected", "ann@example.com")
    assert (await inn("integration", "disconnect", "alice", "google")).code == 2, "it asks"
    bench.house.token_service.answer = 503, b""
    gone = await inn("integration", "disconnect", "alice", "google", "--yes")
    assert (gone.code, gone.out) == (0, "alice is disconnected from google\n")
    assert "its own settings" in gone.err, "the service wasn't told"

    await connected(bench)
    bench.house.token_service.answer = None
    gone = await inn("integration", "disconnect", "alice", "google", "--yes", "--json")
    assert gone.document == {"name": "google", "revoked": True}
    assert bench.house.token_service.revoked[-1] == "a-refresh-token"


async def test_what_isnt_there_is_said(inn: Run, bench: Bench) -> None:
    await bench.tenant("alice")
    bench.house.services.clear()
    assert "Operators add them" in (await inn("integration", "list", "alice")).err
    unknown = await inn("integration", "connect", "alice", "google")
    assert (unknown.code, "no integration 'google'" in unknown.err) == (3, True)
    never = await inn("integration", "disconnect", "alice", "google", "--yes", "--json")
    assert never.code == 4
