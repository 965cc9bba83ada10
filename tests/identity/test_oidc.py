"""Signing in at a provider that errs or lies: whatever it says, nobody gets in as somebody else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from innkeeper.core.identity import Identity, Pending
from innkeeper.core.identity_errors import IdentityProviderAway, SignInFailed
from innkeeper.identity.choice import sign_in
from innkeeper.identity.oidc import LEEWAY_S, PATIENCE_S, OpenIDConnect
from innkeeper.identity.provider import ProviderConfig, described_by
from innkeeper.settings import Settings
from tests.identity.issuer import Key
from tests.identity.rogue import CLIENT_ID, KEY, Rogue, rogue_provider

pytestmark = pytest.mark.long

BACK = "http://console.localhost/callback"
NOW = int(time.time())


class Clock:
    """The time, which can be turned."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
async def rogue() -> AsyncIterator[Rogue]:
    async with rogue_provider() as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def at(rogue: Rogue, clock: Clock) -> AsyncIterator[OpenIDConnect]:
    made = client(rogue, now=clock, monotonic=clock)
    yield made
    await made.close()


def client(rogue: Rogue, *, now: Any = time.time, monotonic: Any = time.monotonic, **others: Any) -> OpenIDConnect:
    config = {"name": "Rogue", "issuer": rogue.url, "client_id": CLIENT_ID, "client_secret": "s:e%c r+t", **others}
    return OpenIDConnect(ProviderConfig(**config), now=now, monotonic=monotonic)


async def signed_in(at: OpenIDConnect, rogue: Rogue) -> Identity:
    _, pending = await at.begin(BACK)
    return await at.finish(pending, BACK, rogue.back(pending))


async def reason(at: OpenIDConnect, rogue: Rogue) -> str:
    with pytest.raises(SignInFailed) as refused:
        await signed_in(at, rogue)
    return refused.value.reason


# --- what is sent -----------------------------------------------------------------------------------------------------


async def test_the_question_binds_the_answer_to_the_browser(at: OpenIDConnect, rogue: Rogue) -> None:
    url, pending = await at.begin(BACK)
    assert url.startswith(f"{rogue.url}/authorize?tenant=1&")
    asked = {name: value for name, [value] in parse_qs(urlsplit(url).query, strict_parsing=True).items()}
    challenge = base64.urlsafe_b64encode(hashlib.sha256(pending.verifier.encode()).digest()).rstrip(b"=").decode()
    assert asked == {
        "tenant": "1",
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": BACK,
        "scope": "openid email profile",
        "state": pending.state,
        "nonce": pending.nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    _, other = await at.begin(BACK)
    assert not {pending.state, pending.nonce, pending.verifier} & {other.state, other.nonce, other.verifier}


async def test_the_secret_goes_the_way_that_the_provider_takes_it(rogue: Rogue) -> None:
    by_header, public = client(rogue), client(rogue, client_secret=None)
    await signed_in(by_header, rogue)
    sent = base64.b64decode(rogue.authorization.removeprefix(b"Basic "))
    assert sent == b"innkeeper:s%3Ae%25c+r%2Bt"
    assert b"client" not in rogue.form
    await signed_in(public, rogue)
    assert (rogue.authorization, parse_qs(rogue.form)[b"client_id"]) == (b"", [b"innkeeper"])
    assert b"client_secret" not in rogue.form
    rogue.described = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    by_body = client(rogue)
    await signed_in(by_body, rogue)
    assert (rogue.authorization, parse_qs(rogue.form)[b"client_secret"]) == (b"", [b"s:e%c r+t"])
    for each in (by_header, public, by_body):
        await each.close()


# --- what comes back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        {"code": ""}, {"code": None}, {"code": "x" * 5000}, {"error": "access_denied"}, {"error": "<script>"},
        {"error": ""},        {"iss": "https://evil.test"}, {"iss": ""}, {"state": None}, {"state": "\ud800"},
    ],
)  # fmt: skip
async def test_an_answer_that_isnt_whole_never_reaches_the_provider(
    at: OpenIDConnect, rogue: Rogue, params: dict[str, Any]
) -> None:
    _, pending = await at.begin(BACK)
    answer = {**rogue.back(pending), **params}
    with pytest.raises(SignInFailed) as refused:
        await at.finish(pending, BACK, {name: value for name, value in answer.items() if value is not None})
    assert "script" not in refused.value.reason
    assert "/token" not in rogue.asked


async def test_who_comes_back_too_late_begins_again(at: OpenIDConnect, rogue: Rogue, clock: Clock) -> None:
    _, pending = await at.begin(BACK)
    for ahead in (PATIENCE_S + 5, -60):
        clock.ahead = ahead
        with pytest.raises(SignInFailed, match=r"."):
            await at.finish(pending, BACK, rogue.back(pending))
    assert "/token" not in rogue.asked


@pytest.mark.parametrize(
    "answer",
    [
        {"id_token": None},
        {"id_token": 1},
        {"id_token": ""},
        {"id_token": "a.b.c"},
        {"id_token": ["x"]},
        {"id_token": {}},
    ],
)
async def test_without_an_id_token_nobody_is_signed_in(at: OpenIDConnect, rogue: Rogue, answer: dict[str, Any]) -> None:
    rogue.token_answer = answer
    assert "ID token" in await reason(at, rogue)


async def test_an_error_for_the_code_is_told_as_far_as_it_is_harmless(at: OpenIDConnect, rogue: Rogue) -> None:
    rogue.token_status = 400
    rogue.token_answer = {"error": "invalid_grant"}
    assert await reason(at, rogue) == "the provider took no code: 400 invalid_grant"
    rogue.token_answer = {"error": "a code\nFORGED LOG LINE"}
    assert await reason(at, rogue) == "the provider took no code: 400 something else"
    rogue.token_status = 302
    assert "302" in await reason(at, rogue)
    rogue.token_status = 502
    with pytest.raises(IdentityProviderAway):
        await signed_in(at, rogue)


def unsigned(claims: dict[str, Any], algorithm: str) -> str:
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in ({"alg": algorithm, "kid": KEY.id}, claims)
    )
    return f"{head}.{body}."


def by_secret(claims: dict[str, Any], secret: bytes) -> str:
    start = unsigned(claims, "HS256").removesuffix(".")
    signature = hmac.digest(secret, start.encode(), hashlib.sha256)
    return f"{start}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


async def test_a_signature_of_somebody_else_or_none_isnt_taken(at: OpenIDConnect, rogue: Rogue) -> None:
    public = KEY.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    stranger = Key(KEY.id)
    for forge in (
        lambda claims: unsigned(claims, "none"),
        lambda claims: unsigned(claims, "RS256"),
        lambda claims: by_secret(claims, public),
        lambda claims: by_secret(claims, b"s:e%c r+t"),
        stranger.sign,
        Key("rogue-2").sign,
        lambda claims: stranger.sign(claims, jwk=stranger.jwk),
        lambda claims: KEY.sign(claims)[:-4],
        lambda claims: KEY.sign(claims, typ="logout+jwt"),
    ):
        rogue.sign = forge
        assert "ID token isn't good" in await reason(at, rogue)
    rogue.sign = KEY.sign
    assert (await signed_in(at, rogue)).subject == "user-1"


@pytest.mark.parametrize(
    "wrong",
    [
        {"nonce": None}, {"nonce": ""}, {"nonce": "another"}, {"nonce": ["x"]}, {"nonce": True},
        {"iss": "https://other.test"}, {"iss": None}, {"iss": 1}, {"iss": []},
        {"aud": "another"}, {"aud": ["another"]}, {"aud": None}, {"aud": []}, {"aud": {CLIENT_ID: 1}},
        {"aud": [CLIENT_ID, "another"]}, {"aud": [CLIENT_ID, "another"], "azp": "another"}, {"azp": "another"},
        {"azp": ["another"]},
        {"exp": NOW - LEEWAY_S - 5}, {"exp": None}, {"exp": "x"}, {"exp": True}, {"exp": float("nan")}, {"exp": []},
        {"iat": NOW + 3600}, {"iat": None}, {"iat": "x"}, {"nbf": NOW + 3600},
        {"sub": None}, {"sub": ""}, {"sub": 1}, {"sub": "x" * 256}, {"sub": "a\nb"},
        {"at_hash": "wrong"}, {"at_hash": 1}, {"at_hash": ["x"]}, {"at_hash": {"x": 1}}, {"at_hash": "\u00e9"},
        {"auth_time": "x"}, {"amr": "x"},
    ],
)  # fmt: skip
async def test_claims_that_arent_about_this_sign_in_arent_taken(
    at: OpenIDConnect, rogue: Rogue, wrong: dict[str, Any]
) -> None:
    rogue.said = wrong
    assert await reason(at, rogue)
    assert "/userinfo" not in rogue.asked


async def test_the_access_tokens_hash_and_the_authorized_party_may_be_right(at: OpenIDConnect, rogue: Rogue) -> None:
    half = hashlib.sha256(b"an access token").digest()[:16]
    right = base64.urlsafe_b64encode(half).rstrip(b"=").decode()
    rogue.said = {"at_hash": right, "aud": [CLIENT_ID, "another"], "azp": CLIENT_ID}
    assert (await signed_in(at, rogue)).subject == "user-1"


# --- who it is --------------------------------------------------------------------------------------------------------


async def test_the_users_details_are_asked_for_only_where_the_mail_is_missing(at: OpenIDConnect, rogue: Rogue) -> None:
    rogue.said = {"email": "bob@example.com", "email_verified": False}
    bob = await signed_in(at, rogue)
    assert (bob.mail, bob.mail_verified) == ("bob@example.com", False)
    assert "/userinfo" not in rogue.asked
    rogue.said = {}
    ada = await signed_in(at, rogue)
    assert (ada.mail, ada.mail_verified) == ("ada@example.com", True)


@pytest.mark.parametrize("userinfo", [{"sub": "user-2"}, {"sub": ""}, {"sub": None}, {}, {"sub": ["user-1"]}])
async def test_details_of_somebody_else_end_it(at: OpenIDConnect, rogue: Rogue, userinfo: dict[str, Any]) -> None:
    rogue.userinfo = {"email": "ada@example.com", "email_verified": True, **userinfo}
    assert "another's" in await reason(at, rogue)


@pytest.mark.parametrize("userinfo", [[], "x", None, 1])
async def test_details_that_cant_be_read_are_none(at: OpenIDConnect, rogue: Rogue, userinfo: Any) -> None:
    rogue.userinfo = userinfo
    ada = await signed_in(at, rogue)
    assert (ada.subject, ada.mail, ada.mail_verified) == ("user-1", None, False)


async def test_what_was_signed_comes_before_the_details(at: OpenIDConnect, rogue: Rogue) -> None:
    rogue.said = {"email_verified": False, "name": "Ada"}
    rogue.userinfo = {"sub": "user-1", "email": "ada@example.com", "email_verified": True, "name": "Eve"}
    ada = await signed_in(at, rogue)
    assert (ada.mail, ada.mail_verified, ada.name) == ("ada@example.com", False, "Ada")


@pytest.mark.parametrize("verified", ["true", 1, None, "yes", [True]])
async def test_only_a_plain_yes_verifies_a_mail(at: OpenIDConnect, rogue: Rogue, verified: Any) -> None:
    rogue.said = {"email": "ada@example.com", "email_verified": verified}
    assert not (await signed_in(at, rogue)).mail_verified


# --- how it describes itself ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "described",
    [
        {"issuer": "https://accounts.example.com"}, {"issuer": None}, {"issuer": ["x"]},
        {"authorization_endpoint": None}, {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "http://evil.test/"}, {"token_endpoint": None}, {"token_endpoint": "http://10.0.0.1/"},
        {"token_endpoint": "file:///etc/passwd"}, {"token_endpoint": 1}, {"token_endpoint": "https://a@b.test/"},
        {"jwks_uri": None}, {"jwks_uri": "http://169.254.169.254/"}, {"jwks_uri": []}, {"userinfo_endpoint": "ftp://x.test/"},
        {"filler": "x" * 300_000},
    ],
)  # fmt: skip
async def test_a_description_that_isnt_safe_isnt_used(
    at: OpenIDConnect, rogue: Rogue, described: dict[str, Any]
) -> None:
    rogue.described = described
    with pytest.raises(IdentityProviderAway) as away:
        await at.begin(BACK)
    assert (away.value.code, away.value.message) == (
        "identity_provider_away",
        "The identity provider can't be reached.",
    )


@pytest.mark.parametrize("there", ["http://127.0.0.1:8700/v1/tenants", "http://localhost/", "https://[::1]/keys"])
def test_a_provider_out_there_doesnt_point_to_this_machine(there: str) -> None:
    issuer = "https://id.example.com"
    good = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": "https://keys.example.com/",
        "id_token_signing_alg_values_supported": ["none", "HS256", "ES256"],
    }
    assert described_by(good, issuer).algorithms == {"RS256", "ES256"}
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"):
        with pytest.raises(IdentityProviderAway) as away:
            described_by({**good, name: there}, issuer)
        assert name in away.value.reason


async def test_a_description_is_kept_and_serves_while_the_provider_errs(
    at: OpenIDConnect, rogue: Rogue, clock: Clock
) -> None:
    for _ in range(5):
        await at.begin(BACK)
    assert rogue.asked == ["/.well-known/openid-configuration"]
    rogue.described = {"issuer": "https://evil.test"}
    clock.ahead = 3700
    url, _ = await at.begin(BACK)
    assert url.startswith(rogue.url)
    assert len(rogue.asked) == 2


# --- what is kept in between ------------------------------------------------------------------------------------------


async def test_a_pending_sign_in_survives_a_cookie_and_shows_nothing(at: OpenIDConnect) -> None:
    _, pending = await at.begin(BACK)
    assert Pending.loads(pending.dumps()) == pending
    assert len(pending.dumps()) < 400
    for secret in (pending.state, pending.nonce, pending.verifier):
        assert secret not in repr(pending)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", "1", '{"issuer": "x"}', "[" * 100_000, b"\xff",
     '{"issuer":"x","state":1,"nonce":"n","verifier":"v","begun_at":1}',
     '{"issuer":"x","state":"","nonce":"","verifier":"","begun_at":1}'],
)  # fmt: skip
def test_what_is_no_pending_sign_in_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Pending.loads(text)


def test_a_provider_that_isnt_set_up_isnt_there() -> None:
    assert sign_in(Settings.load()) is None
    made = sign_in(Settings.load(oidc_issuer="https://id.example.com", oidc_client_id="x", oidc_name="Example"))
    assert made is not None
    assert made.name == "Example"
