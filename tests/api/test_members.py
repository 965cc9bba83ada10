"""Members by the API: an owner learns nothing of people whom they don't know already."""

from __future__ import annotations

from innkeeper.core.access import Role, TenantRole
from tests.api.bench import Bench
from tests.api.judge import judged
from tests.api.people import person, token_of


async def test_an_id_tells_an_owner_nothing_of_a_stranger(bench: Bench) -> None:
    await bench.tenant()
    ann = await token_of(bench, await person(bench, "ann", tenants={"alice": TenantRole.OWNER}))
    stranger = await person(bench, "stranger")
    async with bench.client(ann) as client:
        members = "/v1/tenants/alice/members"
        for answer, code in (
            (await client.put(f"{members}/{stranger}"), "unknown_user"),
            (await client.delete(f"{members}/{stranger}"), "unknown_member"),
            (await client.delete(f"{members}/usr_nobody"), "unknown_member"),
            (await client.delete(f"{members}/nobody@example.com"), "unknown_member"),
        ):
            judged(answer, 404, code)
            assert "stranger@" not in answer.text
        assert (await client.put(f"{members}/stranger@example.com")).json()["user"] == stranger
        assert (await client.put(f"{members}/{stranger}", json={"role": "viewer"})).json()["role"] == "viewer"
        assert (await client.delete(f"{members}/{stranger}")).status_code == 204


async def test_who_may_look_at_users_names_them_by_id(bench: Bench) -> None:
    await bench.tenant()
    stranger, operator = await person(bench, "stranger"), await person(bench, "operator", role=Role.OPERATOR)
    async with bench.client(await token_of(bench, operator)) as client:
        assert (await client.put(f"/v1/tenants/alice/members/{stranger}")).json()["mail"] == "stranger@example.com"
