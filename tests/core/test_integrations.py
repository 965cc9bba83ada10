"""Connecting and disconnecting, and tokens that are always good: with a service that is strict, slow, or gone."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from datetime import datetime

import pytest

from innkeeper.core.access import ADMIN, Actor, ActorKind, TenantRole
from innkeeper.core.audit import Entry
from innkeeper.core.errors import Forbidden, StoreUnavailable, UnknownTenant
from innkeeper.core.events import ConnectionBroken
from innkeeper.core.integration import Connection, KeptTokens, Standing
from innkeeper.core.integration_errors import (
    ConnectRefused,
    GrantRefused,
    IntegrationAway,
    IntegrationBroken,
    IntegrationNotConnected,
    UnknownIntegration,
)
from innkeeper.core.people import Session
from innkeeper.core.redaction import hide
from innkeeper.core.tenant import Tenant
from tests.store.people import session as session_of
from tests.store.people import user
from tests.support.house import House
from tests.support.secrets import NamedSecrets

ANN = Actor(
    kind=ActorKind.USER,
    id="usr_ann",
    user="usr_ann",
    name="ann@example.com",
    tenants={"alice": TenantRole.OWNER, "bob": TenantRole.OWNER},
)
OTHER = "another session"


class Place:
    """A house with two tenants, and Ann who is signed in."""

    def __init__(self, house: House, alice: Tenant, session: Session) -> None:
        self.house = house
        self.service = house.token_service
        self.alice = alice
        self.session = session

    async def connected(self) -> Connection:
        """Alice is connected to Google."""
        page = await self.house.integrations.begin("alice", "google", session=self.session)
        answer = self.service.approve(page)
        return await self.house.integrations.finish("google", answer, session=self.session, actor=ANN)

    async def token(self) -> str:
        return await self.house.integrations.token("google", self.alice)

    async def row(self) -> Connection | None:
        async with self.house.store.look() as tx:
            return await tx.integrations.find("alice", "google")

    async def trail(self, action: str) -> list[Entry]:
        async with self.house.store.look() as tx:
            return [line for _, line in await tx.trail(limit=1000) if line.action == action]

    @property
    def kept(self) -> KeptTokens:
        """What is in the vault."""
        return KeptTokens.loads(self.house.named_secrets.values["alice", "integration.google"])


@pytest.fixture
async def place() -> Place:
    house = House()
    for name in ("alice", "bob"):
        await house.create(name)
    ann = user("ann")
    anns, bobs = session_of(1, ann), session_of(2, user("bob"))
    async with house.store.begin() as tx:
        await tx.people.add_user(ann)
        for session in (anns, bobs):
            await tx.people.add_session(session)
    return Place(house, await house.tenant("alice"), anns)


# --- connecting -------------------------------------------------------------------------------------------------------


async def test_what_is_connected_gives_tokens_and_tells_everything_but_them(place: Place) -> None:
    with pytest.raises(IntegrationNotConnected):
        await place.token()
    connection = await place.connected()
    assert await place.token() == "access-2"
    assert await place.row() == connection
    assert (connection.connected_by, connection.connected_as) == ("usr_ann", "ann@example.com")
    assert connection.scopes == ("files", "mail")
    assert connection.expires_at is not None
    assert (connection.expires_at - connection.connected_at).total_seconds() == 3600
    [line] = await place.trail("integration.connect")
    assert (line.actor, line.tenant, line.detail["integration"]) == ("usr_ann", "alice", "google")
    assert "access-2" not in repr(line) + repr(connection) + repr(place.kept)
    (listed,) = await place.house.integrations.all("alice")
    assert (listed[0], listed[2]) == ("google", connection)
    assert [each[2] for each in await place.house.integrations.all("bob")] == [None]


async def test_fewer_scopes_than_asked_for_are_told(place: Place) -> None:
    place.service.more = {"scope": "files"}
    assert (await place.connected()).scopes == ("files",)


async def test_the_page_holds_the_challenge_and_never_the_verifier(place: Place) -> None:
    page = await place.house.integrations.begin("alice", "google", session=place.session)
    assert page.startswith("https://google.test/authorize?audience=all&response_type=code&client_id=innkeeper&")
    assert "access_type=offline" in page
    assert "scope=files+mail" in page or "scope=files%20mail" in page
    assert "localhost%3A8080%2Fintegrations%2Fcallback%2Fgoogle" in page
    answer = place.service.approve(page)
    await place.house.integrations.finish("google", answer, session=place.session, actor=ANN)
    verifier = place.service.asked[0]["code_verifier"]
    assert len(verifier) >= 43
    assert verifier not in page


async def test_all_that_a_tenant_was_granted_is_given_back_when_it_is_erased(place: Place) -> None:
    await place.connected()
    refresh_token = place.kept.refresh_token
    bob = await place.house.tenant("bob")
    assert await place.house.integrations.give_all_back(bob) == {}
    assert place.service.revoked == []
    assert await place.house.integrations.give_all_back(place.alice) == {"google": True}
    assert place.service.revoked == [refresh_token]
    place.service.answer = (500, b"")
    assert await place.house.integrations.give_all_back(place.alice) == {"google": False}
    del place.house.named_secrets.values["alice", "integration.google"]
    assert await place.house.integrations.give_all_back(place.alice) == {"google": False}


async def test_a_state_is_good_once(place: Place) -> None:
    page = await place.house.integrations.begin("alice", "google", session=place.session)
    answer = place.service.approve(page)

    async def finish() -> bool:
        try:
            await place.house.integrations.finish("google", answer, session=place.session, actor=ANN)
        except ConnectRefused:
            return False
        return True

    assert sum(await asyncio.gather(*(finish() for _ in range(10)))) == 1
    assert not await finish()
    assert len(place.service.asked) == 1, "a replayed state makes nobody ask the service"
    assert len(await place.trail("integration.connect")) == 1


async def test_a_way_back_belongs_to_one_session_one_service_and_ten_minutes(place: Place) -> None:
    integrations = place.house.integrations
    place.house.services["github"] = place.service.integration("github")
    other = replace(place.session, id="ses_2")

    async def answer() -> dict[str, str]:
        return place.service.approve(await integrations.begin("alice", "google", session=place.session))

    with pytest.raises(ConnectRefused, match="another browser"):
        await integrations.finish("google", await answer(), session=other, actor=ANN)
    with pytest.raises(ConnectRefused, match="another service"):
        await integrations.finish("github", await answer(), session=place.session, actor=ANN)
    for state in ("", "é", "x" * 10_000):
        with pytest.raises(ConnectRefused):
            await integrations.finish("google", {**await answer(), "state": state}, session=place.session, actor=ANN)
    late = await answer()
    place.house.clock.turn(600)
    with pytest.raises(ConnectRefused, match="too long"):
        await integrations.finish("google", late, session=place.session, actor=ANN)
    assert place.service.asked == []
    assert await place.row() is None


async def test_who_has_lost_the_tenant_meanwhile_connects_nothing(place: Place) -> None:
    page = await place.house.integrations.begin("alice", "google", session=place.session)
    nobody = replace(ANN, tenants={"alice": TenantRole.MEMBER})
    with pytest.raises(Forbidden):
        await place.house.integrations.finish(
            "google", place.service.approve(page), session=place.session, actor=nobody
        )
    assert place.service.asked == []


async def test_another_tenant_of_the_same_name_gets_nothing_of_the_first(place: Place) -> None:
    connection = await place.connected()
    page = await place.house.integrations.begin("alice", "google", session=place.session)
    async with place.house.store.begin() as tx:
        await tx.drop_tenant("alice", place.alice.id)
        await tx.add_tenant(replace(place.alice, id="t_other"))
        await tx.integrations.put(connection)  # as a row would be that was left over
    with pytest.raises(ConnectRefused):
        await place.house.integrations.finish("google", place.service.approve(page), session=place.session, actor=ANN)
    with pytest.raises(IntegrationNotConnected):
        await place.house.integrations.token("google", replace(place.alice, id="t_other"))


async def test_a_service_that_says_no_is_quoted_and_nothing_is_connected(place: Place) -> None:
    page = await place.house.integrations.begin("alice", "google", session=place.session)
    said = {**place.service.approve(page), "error": "access_denied", "error_description": "<b>no\x00\nway</b>"}
    with pytest.raises(GrantRefused, match="Google refused: access_denied: <b>noway</b>"):
        await place.house.integrations.finish("google", said, session=place.session, actor=ANN)
    place.service.refuse = "invalid_client"
    with pytest.raises(GrantRefused, match="invalid_client"):
        await place.connected()
    assert place.house.named_secrets.values == {}
    assert await place.row() is None


async def test_an_answer_of_another_issuer_isnt_taken(place: Place) -> None:
    place.house.services["google"] = place.service.integration(issuer="https://google.test")
    page = await place.house.integrations.begin("alice", "google", session=place.session)
    said = {**place.service.approve(page), "iss": "https://evil.test"}
    with pytest.raises(GrantRefused, match="another"):
        await place.house.integrations.finish("google", said, session=place.session, actor=ANN)
    assert place.service.asked == []


async def test_tokens_that_cant_be_kept_are_given_back(place: Place) -> None:
    place.house.named_secrets.fault = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable):
        await place.connected()
    assert place.service.revoked == ["refresh-2"]
    assert await place.row() is None


async def test_what_isnt_there_isnt_connected(place: Place) -> None:
    integrations = place.house.integrations
    with pytest.raises(UnknownIntegration):
        await integrations.begin("alice", "unheard-of", session=place.session)
    with pytest.raises(UnknownIntegration):
        await integrations.token("unheard-of", place.alice)
    for wrong in (integrations.begin("nobody", "google", session=place.session), integrations.all("nobody")):
        with pytest.raises(UnknownTenant):
            await wrong
    with pytest.raises(IntegrationNotConnected):
        await integrations.disconnect("alice", "google", actor=ADMIN)


# --- refreshing -------------------------------------------------------------------------------------------------------


async def test_a_hundred_who_ask_at_the_end_make_one_refresh(place: Place) -> None:
    await place.connected()
    place.house.clock.turn(3539)
    place.house.named_secrets.revealed.clear()
    assert await place.token() == "access-2", "more than a minute is left"
    assert place.service.refreshes == 0
    for number in (3, 4):
        place.house.clock.turn(3545)
        given = await asyncio.gather(*(place.token() for _ in range(100)))
        assert set(given) == {f"access-{number}"}
        assert len(place.house.named_secrets.revealed) <= 102, "they all wait for one flight, which looks once more"
        place.house.named_secrets.revealed.clear()
    assert place.service.refreshes == 2
    row = await place.row()
    assert row is not None
    assert (row.generation, row.claim, row.refreshed_at) == (2, None, place.house.clock.now())


async def test_control_planes_on_one_store_use_a_rotating_token_once(place: Place) -> None:
    await place.connected()
    others = [place.house.make_integrations() for _ in range(4)]
    place.house.clock.turn(4000)
    place.service.hold = asyncio.Event()
    asking = [asyncio.create_task(each.token("google", place.alice)) for each in others for _ in range(25)]
    await place.service.arrived.wait()
    for _ in range(200):  # everybody has looked, and looked again
        await asyncio.sleep(0)
    place.service.hold.set()
    assert set(await asyncio.gather(*asking)) == {"access-3"}
    assert place.service.refreshes == 1


class Behind(NamedSecrets):
    """A vault as another control plane sees it: what it has told once it tells again, until it looks anew."""

    def __init__(self, of: NamedSecrets) -> None:
        super().__init__()
        self._of = of
        self.looked = asyncio.Event()

    async def reveal(self, name: str, tenant: Tenant | None) -> str:
        place = tenant.name if tenant else "", name
        if place not in self.values:
            self.values[place] = await self._of.reveal(name, tenant)
        self.looked.set()
        return self.values[place]

    async def keep(
        self, name: str, value: str, tenant: Tenant, *, actor: Actor, expires_at: datetime | None = None
    ) -> None:
        await self._of.keep(name, value, tenant, actor=actor)


async def test_old_tokens_that_a_vault_still_tells_arent_used_again(place: Place) -> None:
    await place.connected()
    behind = Behind(place.house.named_secrets)
    other = place.house.make_integrations(vault=behind)
    assert await other.token("google", place.alice) == "access-2"
    place.house.clock.turn(3550)
    assert await place.token() == "access-3"
    assert await other.token("google", place.alice) == "access-2", "good for ten seconds more"
    place.house.clock.turn(20)
    behind.looked.clear()
    asking = asyncio.create_task(other.token("google", place.alice))
    await behind.looked.wait()
    behind.values.clear()
    assert await asking == "access-3"
    assert place.service.refreshes == 1


async def test_what_was_kept_by_one_who_died_before_writing_it_down_is_taken_over(place: Place) -> None:
    connection = await place.connected()
    place.house.clock.turn(4000)
    assert await place.token() == "access-3"
    async with place.house.store.begin() as tx:
        until = place.house.clock.now()
        await tx.integrations.put(replace(connection, claim="of the dead", claim_until=until))
    assert await place.token() == "access-3"
    place.house.clock.turn(4000)
    assert await place.token() == "access-4"
    row = await place.row()
    assert row is not None
    assert (row.generation, place.kept.generation) == (2, 2)


async def test_who_hangs_up_takes_nobody_elses_answer_away(place: Place) -> None:
    await place.connected()
    place.house.clock.turn(4000)
    place.service.arrived.clear()
    place.service.hold = asyncio.Event()
    first, second = (asyncio.create_task(place.token()) for _ in range(2))
    await place.service.arrived.wait()
    first.cancel()
    place.service.hold.set()
    assert await second == "access-3"
    assert place.kept.access_token == "access-3"


async def test_a_control_plane_that_dies_while_refreshing_holds_nobody_up_for_long(place: Place) -> None:
    connection = await place.connected()
    now = place.house.clock.now()
    place.house.clock.turn(3550)
    async with place.house.store.begin() as tx:
        until = place.house.clock.now().replace(microsecond=1)
        await tx.integrations.put(replace(connection, claim="of the dead", claim_until=until))
    assert await place.token() == "access-2", "what is still good is used meanwhile"
    place.house.clock.turn(60)
    assert await place.token() == "access-3"
    async with place.house.store.begin() as tx:
        row = await tx.integrations.find("alice", "google")
        assert row is not None
        await tx.integrations.put(replace(row, claim="of a clock set back", claim_until=now.replace(year=2030)))
    place.house.clock.turn(3600)
    assert await place.token() == "access-4"


async def test_short_lives_arent_refreshed_at_every_call(place: Place) -> None:
    place.service.expires_in = 30
    await place.connected()
    for _ in range(10):
        await place.token()
    assert place.service.refreshes == 0
    place.house.clock.turn(16)
    assert await place.token() == "access-3"


async def test_a_refresh_that_fails_for_good_is_told_once_and_the_service_left_alone(place: Place) -> None:
    await place.connected()
    place.house.clock.turn(4000)
    place.service.refuse, place.service.describe = "invalid_grant", "Token refresh-2 was revoked."
    outcomes = await asyncio.gather(*(place.token() for _ in range(20)), return_exceptions=True)
    assert {type(each) for each in outcomes} == {IntegrationBroken}
    assert {str(each) for each in outcomes} == {
        "The connection to Google is broken: Google refused: invalid_grant: Token … was revoked."
    }
    place.service.refuse = None
    for _ in range(5):
        place.house.clock.turn(3600)
        with pytest.raises(IntegrationBroken):
            await place.token()
    assert place.service.refreshes == 1
    [told] = [event for event in place.house.happened if isinstance(event, ConnectionBroken)]
    assert (told.tenant, told.integration, told.kind) == ("alice", "google", "integration.broken")
    [line] = await place.trail("integration.broken")
    assert (line.actor, line.tenant, line.tenant_id) == ("system", "alice", place.alice.id)
    row = await place.row()
    assert row is not None
    assert (row.standing, row.error and "invalid_grant" in row.error) == (Standing.BROKEN, True)

    await place.connected()
    assert await place.token() == "access-4", "its owner has connected it again"


async def test_a_service_that_stumbles_is_asked_later_and_the_old_token_used_while_it_is_good(place: Place) -> None:
    await place.connected()
    place.house.clock.turn(3550)
    place.service.answer = 500, b"oops"
    for _ in range(5):
        assert await place.token() == "access-2"
    assert place.service.refreshes == 1, "not at every call"
    place.house.clock.turn(5)
    assert await place.token() == "access-2"
    assert place.service.refreshes == 2
    place.house.clock.turn(60)
    with pytest.raises(IntegrationAway, match="500"):
        await place.token()
    assert place.service.refreshes == 3
    with pytest.raises(IntegrationAway, match="500"):
        await place.token()
    assert place.service.refreshes == 3
    place.service.answer = None
    place.house.clock.turn(300)
    assert await place.token() == "access-3"
    row = await place.row()
    assert row is not None
    assert (row.failures, row.retry_at, row.error, row.standing) == (0, None, None, Standing.CONNECTED)


@pytest.mark.parametrize("error", ["temporarily_unavailable", "invalid_grant"])
async def test_what_is_kept_of_a_refusal_quotes_no_credential(place: Place, error: str) -> None:
    await place.connected()
    place.house.clock.turn(4000)
    hide("client-secret-of-ours")
    quoted = base64.b64encode(b"innkeeper:client-secret-of-ours").decode()
    place.service.refuse, place.service.describe = error, f"no, client-secret-of-ours! Basic {quoted}"
    with pytest.raises((IntegrationAway, IntegrationBroken)):
        await place.token()
    row, lines = await place.row(), await place.trail("integration.broken")
    assert row is not None
    assert error in str(row.error)
    for secret in ("client-secret", quoted[16:-2]):
        assert secret not in f"{row} {lines}"


async def test_a_mistake_in_the_settings_breaks_no_connection(place: Place) -> None:
    await place.connected()
    place.house.clock.turn(4000)
    place.service.refuse = "invalid_client"
    with pytest.raises(IntegrationAway, match="invalid_client"):
        await place.token()
    place.service.refuse = None
    place.house.clock.turn(10)
    assert await place.token() == "access-3"


async def test_new_tokens_that_cant_be_kept_are_used_and_kept_at_the_next_chance(place: Place) -> None:
    await place.connected()
    place.house.clock.turn(4000)
    place.house.named_secrets.fault = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable):
        await place.token()
    assert await place.token() == "access-3", "it came, though"
    assert place.kept.access_token == "access-2"
    place.house.named_secrets.fault = None
    place.house.clock.turn(41)
    assert await place.token() == "access-3"
    assert place.kept.refresh_token == "refresh-3"
    assert place.service.refreshes == 1
    place.house.clock.turn(4000)
    assert await place.token() == "access-4"


async def test_a_token_without_an_end_stays_and_one_without_a_refresh_ends(place: Place) -> None:
    place.service.more = {"expires_in": None, "refresh_token": None}
    assert (await place.connected()).expires_at is None
    place.house.clock.turn(10**8)
    assert await place.token() == "access-2"
    place.service.more = {"refresh_token": None}
    await place.connected()
    place.house.clock.turn(3599)
    assert await place.token() == "access-4"
    place.house.clock.turn(2)
    with pytest.raises(IntegrationBroken, match="none to refresh"):
        await place.token()
    assert place.service.refreshes == 0


async def test_a_service_that_keeps_its_refresh_token_needs_no_new_one(place: Place) -> None:
    place.service.rotates = False
    await place.connected()
    place.service.more = {"refresh_token": None}
    for number in (3, 4):
        place.house.clock.turn(4000)
        assert await place.token() == f"access-{number}"
    assert place.kept.refresh_token == "refresh-2"


async def test_tokens_that_are_gone_from_the_vault_are_told(place: Place) -> None:
    await place.connected()
    del place.house.named_secrets.values["alice", "integration.google"]
    with pytest.raises(IntegrationBroken, match="vault"):
        await place.token()
    with pytest.raises(IntegrationBroken):
        await place.token()
    assert len(await place.trail("integration.broken")) == 1


async def test_tokens_of_another_connection_are_never_used(place: Place) -> None:
    await place.connected()
    place.house.named_secrets.put("integration.google", replace(place.kept, connection="int_other").dumps(), "alice")
    with pytest.raises(IntegrationAway):
        await place.token()


async def test_closing_waits_for_what_is_under_way(place: Place) -> None:
    await place.connected()
    place.house.clock.turn(4000)
    place.service.arrived.clear()
    place.service.hold = asyncio.Event()
    asking = asyncio.create_task(place.token())
    await place.service.arrived.wait()
    asking.cancel()
    closing = asyncio.create_task(place.house.integrations.close())
    await asyncio.sleep(0)
    assert not closing.done()
    place.service.hold.set()
    await closing
    assert place.kept.refresh_token == "refresh-3"


# --- disconnecting ----------------------------------------------------------------------------------------------------


async def test_disconnecting_revokes_forgets_and_is_written_down(place: Place) -> None:
    await place.connected()
    assert await place.house.integrations.disconnect("alice", "google", actor=ANN) is True
    assert place.service.revoked == ["refresh-2"]
    assert place.house.named_secrets.values == {}
    assert await place.row() is None
    with pytest.raises(IntegrationNotConnected):
        await place.token()
    [line] = await place.trail("integration.disconnect")
    assert (line.actor, line.detail) == ("usr_ann", {"integration": "google", "revoked": True})


@pytest.mark.parametrize("name", ["", "a b", "../x", "\0", "x" * 300])
async def test_what_no_integration_is_called_is_told_as_not_connected(place: Place, name: str) -> None:
    with pytest.raises(IntegrationNotConnected, match="alice isn't connected"):
        await place.house.make_integrations(vault=place.house.vault).disconnect("alice", name, actor=ANN)


async def test_a_service_that_wont_hear_of_it_holds_nobody(place: Place) -> None:
    await place.connected()
    place.service.answer = 500, b""
    assert await place.house.integrations.disconnect("alice", "google", actor=ANN) is False
    assert (place.house.named_secrets.values, await place.row()) == ({}, None)


async def test_tokens_that_cant_be_read_any_more_keep_nobody_from_disconnecting(place: Place) -> None:
    class Unreadable(NamedSecrets):
        async def reveal(self, name: str, tenant: Tenant | None) -> str:
            raise StoreUnavailable("no key opens that")

    await place.connected()
    vault = Unreadable()
    vault.values = place.house.named_secrets.values
    assert await place.house.make_integrations(vault=vault).disconnect("alice", "google", actor=ANN) is False
    assert (place.house.named_secrets.values, await place.row()) == ({}, None)


async def test_what_isnt_configured_any_more_can_be_disconnected(place: Place) -> None:
    await place.connected()
    place.house.services.clear()
    (listed,) = await place.house.integrations.all("alice")
    assert listed[:2] == ("google", None)
    assert await place.house.integrations.disconnect("alice", "google", actor=ANN) is False
    assert place.service.revoked == []
    assert (place.house.named_secrets.values, await place.row()) == ({}, None)


async def test_a_refresh_under_way_brings_nothing_back(place: Place) -> None:
    await place.connected()
    place.house.clock.turn(4000)
    place.service.arrived.clear()
    place.service.hold = asyncio.Event()
    asking = asyncio.create_task(place.token())
    await place.service.arrived.wait()
    place.house.services.clear()  # so that nobody waits for the service to hear of it
    await place.house.integrations.disconnect("alice", "google", actor=ANN)
    place.service.hold.set()
    with pytest.raises(IntegrationNotConnected, match="meanwhile"):
        await asking
    assert (place.house.named_secrets.values, await place.row()) == ({}, None)
    assert place.service.revoked == ["refresh-3"], "what came too late is given back"


async def test_what_a_dead_control_plane_left_in_the_vault_can_be_cleared(place: Place) -> None:
    await place.connected()
    async with place.house.store.begin() as tx:
        await tx.integrations.drop("alice", "google")
    await place.house.integrations.disconnect("alice", "google", actor=ANN)
    assert place.house.named_secrets.values == {}
