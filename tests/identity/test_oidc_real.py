"""Signing in at a real provider, as a browser does it, and as somebody does who wants to be somebody else."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest

from innkeeper.core.identity import Identity, Pending
from innkeeper.core.identity_errors import IdentityProviderAway, SignInFailed
from innkeeper.identity.oidc import OpenIDConnect
from innkeeper.identity.provider import ProviderConfig
from tests.support.oidc_provider import CLIENT_ID, CLIENT_SECRET, PUBLIC_CLIENT_ID, RealProvider, oidc_provider

pytestmark = pytest.mark.oidc

BACK = "http://console.localhost:8080/callback"
OTHER = "http://console.localhost:8080/other"


@pytest.fixture
async def provider() -> AsyncIterator[RealProvider]:
    async with oidc_provider(redirect_uris=[BACK, OTHER]) as made:
        yield made


def client(provider: RealProvider, **others: Any) -> OpenIDConnect:
    known = {"name": "Test", "issuer": provider.issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    return OpenIDConnect(ProviderConfig(**{**known, **others}))


async def signed_in(client: OpenIDConnect, provider: RealProvider, login: str) -> Identity:
    url, pending = await client.begin(BACK)
    return await client.finish(Pending.loads(pending.dumps()), BACK, await provider.walk(url, login))


async def reason(client: OpenIDConnect, pending: Pending, params: dict[str, str], back: str = BACK) -> str:
    """Why it fails, after making sure that this isn't said."""
    with pytest.raises(SignInFailed) as refused:
        await client.finish(pending, back, params)
    assert refused.value.message == "The sign-in failed."
    for secret in (params.get("code"), pending.state, pending.nonce, pending.verifier, CLIENT_SECRET):
        assert not secret or secret not in f"{refused.value.reason}{refused.value.hint}{pending!r}"
    return refused.value.reason


async def test_people_sign_in_and_stay_who_they_are(provider: RealProvider) -> None:
    at = client(provider, scopes="openid email profile groups", role_claim="groups", roles={"staff": "operator"})
    alice = await signed_in(at, provider, "alice")
    assert alice == Identity(
        issuer=provider.issuer,
        subject="alice",
        mail="alice@example.com",
        mail_verified=True,
        name="Alice",
        role="operator",
    )
    bob = await signed_in(at, provider, "bob")
    assert (bob.mail, bob.mail_verified, bob.role) == ("bob@example.com", False, None)
    carol = await signed_in(at, provider, "carol")
    assert (carol.subject, carol.mail, carol.mail_verified) == ("carol", None, False)
    await provider.change("alice", email="bob@example.com", email_verified=False)
    changed = await signed_in(at, provider, "alice")
    assert (changed.subject, changed.mail, changed.mail_verified) == ("alice", "bob@example.com", False)
    await at.close()


async def test_a_client_without_a_secret_signs_in_by_pkce(provider: RealProvider) -> None:
    at = client(provider, client_id=PUBLIC_CLIENT_ID, client_secret=None)
    assert (await signed_in(at, provider, "alice")).mail == "alice@example.com"
    await at.close()


async def test_a_mail_in_the_id_token_will_do() -> None:
    async with oidc_provider(redirect_uris=[BACK], mail_in_id_token=True) as provider:
        at = client(provider)
        assert (await signed_in(at, provider, "alice")).mail == "alice@example.com"
        await at.close()


async def test_what_comes_back_belongs_to_one_browser_and_is_good_once(provider: RealProvider) -> None:
    at = client(provider)
    url, pending = await at.begin(BACK)
    answer = await provider.walk(url, "alice")
    _, others = await at.begin(BACK)
    assert "state" in await reason(at, others, answer)
    for state in ("", "é", others.state, pending.state[:-1], pending.state + "x", pending.state.swapcase()):
        assert "state" in await reason(at, pending, {**answer, "state": state})
    assert "state" in await reason(at, pending, {"code": answer["code"]})
    # With the state bent to fit, PKCE still tells browsers apart, before the nonce is even seen.
    assert "invalid_grant" in await reason(at, dataclasses.replace(others, state=pending.state), answer)
    await at.close()


async def test_a_code_is_good_once(provider: RealProvider) -> None:
    at = client(provider)
    url, pending = await at.begin(BACK)
    answer = await provider.walk(url, "alice")
    assert (await at.finish(pending, BACK, answer)).subject == "alice"
    assert "invalid_grant" in await reason(at, pending, answer)
    await at.close()


@pytest.mark.parametrize("changed", ["verifier", "nonce", "redirect", "code", "secret", "client"])
async def test_one_thing_wrong_is_enough(provider: RealProvider, changed: str) -> None:
    at = client(provider)
    url, pending = await at.begin(BACK)
    answer = await provider.walk(url, "alice")
    match changed:
        case "verifier":
            said = await reason(at, dataclasses.replace(pending, verifier="x" * 64), answer)
            assert "invalid_grant" in said
        case "nonce":
            said = await reason(at, dataclasses.replace(pending, nonce="of another sign-in"), answer)
            assert "claims" in said
        case "redirect":
            assert "invalid_grant" in await reason(at, pending, answer, back=OTHER)
        case "code":
            assert "invalid_grant" in await reason(at, pending, {**answer, "code": answer["code"][::-1]})
        case "secret":
            stranger = client(provider, client_secret="wrong")
            assert "invalid_client" in await reason(stranger, pending, answer)
            await stranger.close()
        case "client":
            stranger = client(provider, client_id=PUBLIC_CLIENT_ID, client_secret=None)
            assert "invalid_grant" in await reason(stranger, pending, answer)
            await stranger.close()
    await at.close()


async def test_an_answer_of_another_provider_isnt_taken(provider: RealProvider) -> None:
    at = client(provider)
    url, pending = await at.begin(BACK)
    answer = await provider.walk(url, "alice")
    assert answer["iss"] == provider.issuer
    assert "another provider" in await reason(at, pending, {**answer, "iss": "https://evil.test"})
    assert "whose" in await reason(at, pending, {name: value for name, value in answer.items() if name != "iss"})
    assert "another provider" in await reason(at, dataclasses.replace(pending, issuer="https://evil.test"), answer)
    await at.close()


async def test_who_cancels_there_isnt_signed_in(provider: RealProvider) -> None:
    at = client(provider)
    url, pending = await at.begin(BACK)
    assert "access_denied" in await reason(at, pending, await provider.walk(url, None))
    await at.close()


async def test_a_provider_that_isnt_what_was_configured_isnt_used(provider: RealProvider) -> None:
    for issuer in (f"{provider.issuer}/", provider.issuer.replace("127.0.0.1", "localhost"), "http://127.0.0.1:1"):
        at = client(provider, issuer=issuer)
        with pytest.raises(IdentityProviderAway):
            await at.begin(BACK)
        await at.close()
