"""Tokens of an outside issuer: the good ones are believed, and every way of making a bad one was tried."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from innkeeper.core.errors import Unauthenticated
from innkeeper.core.identity_errors import TokenRefused
from innkeeper.identity.jwt import KNOWN_FOR_S, LEEWAY_S, IssuedTokens, IssuerConfig
from tests.identity.issuer import AUDIENCE, Issuer, Key, issuing, sign

pytestmark = pytest.mark.long

SECRET = b"a shared secret of 32 bytes or more"
RSA = Key("rsa-1")
EC = Key("ec-1", curve=True)


class Clock:
    """Turns the time that tokens are remembered by."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing(RSA, EC) as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def tokens(issuer: Issuer, clock: Clock) -> AsyncIterator[IssuedTokens]:
    config = IssuerConfig(issuer=issuer.url, audience=AUDIENCE, jwks_url=f"{issuer.url}/jwks")
    made = IssuedTokens(config, now=clock, monotonic=clock)
    yield made
    await made.close()


def shared(**others: Any) -> IssuedTokens:
    return IssuedTokens(IssuerConfig(issuer="https://issuer.test", audience=AUDIENCE, secret=SECRET, **others))


def said(**others: Any) -> dict[str, Any]:
    """What a good token with the shared secret says."""
    issuer = Issuer()
    issuer.url = "https://issuer.test"
    return issuer.claims(**others)


def signed(claims: dict[str, Any], key: bytes = SECRET, **header: Any) -> str:
    return sign(claims, key, "HS256", **header)


def part(content: Any) -> str:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def by_hand(header: Any, claims: Any, key: bytes = SECRET) -> str:
    """A token whose signature holds, whatever it says."""
    start = f"{part(header)}.{part(claims)}"
    return f"{start}.{part(hmac.digest(key, start.encode(), hashlib.sha256))}"


async def who(tokens: IssuedTokens, token: str) -> str:
    """Whose it is."""
    return (await tokens.verify(token)).subject


async def reason(tokens: IssuedTokens, token: str) -> str:
    """Why it is refused, after making sure that this isn't said."""
    assert tokens.known(token) is None
    with pytest.raises(TokenRefused) as refused:
        await tokens.verify(token)
    assert tokens.known(token) is None
    assert (refused.value.message, refused.value.hint) == ("The token isn't valid.", Unauthenticated.default_hint)
    assert refused.value.code == "unauthenticated"
    return refused.value.reason


# --- what is believed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [RSA, EC], ids=["RS256", "ES256"])
async def test_a_token_by_a_published_key_says_who_it_is(tokens: IssuedTokens, issuer: Issuer, key: Key) -> None:
    token = key.sign(issuer.claims(email="ada@example.com", email_verified=True, name="Ada"))
    assert tokens.known(token) is None
    claims = await tokens.verify(token)
    assert (claims.issuer, claims.subject, claims.mail, claims.name) == (issuer.url, "user-1", "ada@example.com", "Ada")
    assert claims.mail_verified
    assert (claims.role, claims.tenants) == (None, {})
    assert tokens.known(token) == claims


async def test_a_token_by_a_shared_secret_as_supabase_gives_it() -> None:
    tokens = shared(
        role_claim="app_metadata.role",
        roles={"service": "operator"},
        tenants_claim="app_metadata.tenants",
        tenant_roles={"boss": "owner"},
    )
    about = {"role": "service", "tenants": {"alice": "boss", "bob": "owner", "NO": "boss"}}
    claims = await tokens.verify(signed(said(role="authenticated", app_metadata=about, user_metadata={"role": "boss"})))
    assert claims.role == "operator"
    assert claims.tenants == {"alice": "owner"}


async def test_among_several_audiences_ours_is_enough(tokens: IssuedTokens, issuer: Issuer) -> None:
    assert await who(tokens, RSA.sign(issuer.claims(aud=["other", AUDIENCE])))


async def test_clocks_may_differ_a_little(tokens: IssuedTokens, issuer: Issuer) -> None:
    now = int(time.time())
    assert await who(tokens, RSA.sign(issuer.claims(exp=now - LEEWAY_S + 10)))
    assert await who(tokens, RSA.sign(issuer.claims(iat=now + LEEWAY_S - 10, nbf=now + LEEWAY_S - 10)))


async def test_a_known_token_is_forgotten_when_it_expires_and_after_a_while(
    tokens: IssuedTokens, issuer: Issuer, clock: Clock
) -> None:
    short, long = (RSA.sign(issuer.claims(exp=int(time.time()) + lasts)) for lasts in (100, 3600))
    await tokens.verify(short)
    await tokens.verify(long)
    clock.ahead = 110
    assert tokens.known(short) is None
    assert tokens.known(long)
    clock.ahead = KNOWN_FOR_S + 10
    assert tokens.known(long) is None
    with pytest.raises(TokenRefused):
        await tokens.verify(short)


# --- how it is signed -------------------------------------------------------------------------------------------------


async def test_no_signature_is_none(tokens: IssuedTokens, issuer: Issuer) -> None:
    for algorithm in ("none", "None", "NONE", "nOnE", "", None, 1, ["RS256"], {"a": 1}):
        for signature in ("", "AAAA"):
            token = f"{part({'alg': algorithm, 'kid': RSA.id})}.{part(issuer.claims())}.{signature}"
            assert await reason(tokens, token)
            assert await reason(shared(), token)


async def test_the_public_key_is_no_shared_secret(tokens: IssuedTokens, issuer: Issuer) -> None:
    public = RSA.private.public_key()
    forms = [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(RSA.jwk).encode(),
        RSA.jwk["n"].encode(),
    ]
    for algorithm in ("HS256", "RS256"):
        for form in forms:
            forged = by_hand({"alg": algorithm, "kid": RSA.id, "typ": "JWT"}, issuer.claims(), form)
            assert await reason(tokens, forged)


async def test_another_key_or_algorithm_than_the_issuers_is_refused(tokens: IssuedTokens, issuer: Issuer) -> None:
    assert "signature" in await reason(tokens, Key("rsa-1").sign(issuer.claims()))
    assert "no such key" in await reason(tokens, Key("rsa-2").sign(issuer.claims()))
    assert "no such key" in await reason(tokens, EC.sign(issuer.claims(), kid=RSA.id))
    for algorithm in ("RS512", "PS256"):
        assert "algorithm" in await reason(tokens, jwt.encode(issuer.claims(), RSA.private, algorithm=algorithm))
    assert "algorithm" in await reason(shared(), RSA.sign(said()))
    assert "signature" in await reason(shared(), signed(said(), key=b"another secret of 32 bytes or more"))


@pytest.mark.parametrize(
    "key_id",
    [
        "../../../../dev/null",
        "/dev/null",
        "file:///etc/passwd",
        "http://169.254.169.254/",
        "' OR 1=1 --",
        "",
        "\0",
        "x" * 5000,
    ],
)
async def test_a_key_id_is_only_a_name(tokens: IssuedTokens, issuer: Issuer, key_id: str) -> None:
    assert "no such key" in await reason(tokens, RSA.sign(issuer.claims(), kid=key_id))
    assert "no such key" in await reason(tokens, Key(key_id).sign(issuer.claims()))
    assert issuer.fetches == 1


async def test_a_key_that_a_token_brings_along_isnt_used(tokens: IssuedTokens, issuer: Issuer) -> None:
    async with issuing(own := Key("rsa-1")) as attacker:
        for brought in ({"jku": attacker.url}, {"x5u": attacker.url}, {"jwk": own.jwk}, {"x5c": [own.jwk["n"]]}):
            assert "signature" in await reason(tokens, own.sign(issuer.claims(), **brought))
            assert await who(tokens, RSA.sign(issuer.claims(), **brought))
        assert attacker.fetches == 0


async def test_extensions_and_other_kinds_of_token_are_refused(tokens: IssuedTokens, issuer: Issuer) -> None:
    headers: list[dict[str, Any]] = [{"crit": ["exp"], "exp": 1}, {"crit": []}, {"crit": ["b64"], "b64": True}]
    for header in headers:
        assert await reason(shared(), by_hand({"alg": "HS256", **header}, said()))
        assert await reason(tokens, RSA.sign(issuer.claims(), **header))
    for kind in ("logout+jwt", "dpop+jwt", "secevent+jwt", "JWE"):
        assert "another kind" in await reason(tokens, RSA.sign(issuer.claims(), typ=kind))
    assert await who(tokens, RSA.sign(issuer.claims(), typ="application/at+jwt"))


# --- what it looks like -----------------------------------------------------------------------------------------------


async def test_what_was_cut_padded_or_isnt_one_is_refused(tokens: IssuedTokens, issuer: Issuer) -> None:
    good = RSA.sign(issuer.claims())
    head, body, signature = good.split(".")
    spoilt = [
        *(good[:length] for length in range(0, len(good), 29)),
        *(good[length:] for length in range(1, len(good), 29)),
        good + "=", good + "A", good + " ", " " + good, good + "\n", good + ".", good + "." + signature, "." + good,
        f"{head}.{body}", f"{head}.{body}.", f"{head}..{signature}", f".{body}.{signature}", "..", "a.b.c", "...",
        f"{head}={'.'}{body}.{signature}", good.upper(), good.lower(), good.replace("-", "+").replace("_", "/") + "/",
        f"{signature}.{body}.{head}", f"{head}.{head}.{signature}", f"Bearer {good}", f"{good},{good}",
        "é.é.é", "\0.\0.\0", "ik_a_" + "x" * 43, f"{part(b'[]')}.{part(b'[]')}.AAAA",
        f"{part(b'1')}.{body}.{signature}", f"{part(b'[' * 9000)}.{part(b'{}')}.AAAA",
        f"{part(b'not json')}.{body}.{signature}",
    ]  # fmt: skip
    assert await who(tokens, good)
    for token in spoilt:
        assert token != good
        assert await reason(tokens, token), token


async def test_a_huge_token_isnt_looked_at(tokens: IssuedTokens, issuer: Issuer) -> None:
    assert "form" in await reason(tokens, RSA.sign(issuer.claims(filler="x" * 16_000)))
    assert "form" in await reason(tokens, "a" * 5_000_000)
    assert await who(tokens, RSA.sign(issuer.claims(filler="x" * 9_000)))


async def test_claims_that_arent_an_object_or_nested_without_end_are_refused() -> None:
    nested = b'{"a":' * 1900 + b"1" + b"}" * 1900
    for claims in (b"[]", b"1", b'"x"', b"null", b"{", b"", b"\xff\xfe", nested, b"[" * 9000):
        assert await reason(shared(), by_hand({"alg": "HS256"}, claims))


# --- what it says -----------------------------------------------------------------------------------------------------

NOW = int(time.time())


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "other"}, {"aud": ["other"]}, {"aud": []}, {"aud": ""}, {"aud": None}, {"aud": {AUDIENCE: 1}},
        {"aud": 1}, {"aud": [[AUDIENCE]]}, {"aud": "innkeeper2"}, {"aud": "INNKEEPER"},
        {"iss": "https://other.test"}, {"iss": "https://issuer.test/"}, {"iss": None}, {"iss": ["https://issuer.test"]},
        {"iss": "https://ISSUER.test"}, {"iss": ""},
        {"exp": NOW - 3600}, {"exp": NOW - LEEWAY_S - 5}, {"exp": None}, {"exp": str(NOW + 3600)}, {"exp": True},
        {"exp": [NOW + 3600]}, {"exp": float("nan")}, {"exp": float("inf")}, {"exp": -1}, {"exp": {}},
        {"nbf": NOW + 3600}, {"nbf": "soon"}, {"nbf": float("nan")}, {"iat": NOW + 3600}, {"iat": "now"}, {"iat": True},
        {"sub": None}, {"sub": ""}, {"sub": 1}, {"sub": ["a"]}, {"sub": "x" * 256}, {"sub": "a\nb"}, {"sub": "\ud800"},
    ],
)  # fmt: skip
async def test_what_doesnt_hold_is_refused(wrong: dict[str, Any]) -> None:
    assert await who(shared(), signed(said()))
    assert await reason(shared(), signed(said(**wrong)))


async def test_an_end_beyond_all_numbers_is_an_end() -> None:
    assert (await shared().verify(signed(said(exp=10**400)))).expires_at > NOW


@pytest.mark.parametrize(
    ("claim", "tenants"),
    [
        ("alice", {"alice": "member"}),
        (["alice", "bob"], {"alice": "member", "bob": "member"}),
        ({"alice": "owner", "bob": "viewer"}, {"alice": "owner", "bob": "viewer"}),
        ({"alice": "boss", "bob": "admin", "eve": None, "joe": ["owner"]}, {}),
        (["alice", 1, None, ["bob"], {"eve": "owner"}], {"alice": "member"}),
        (["Alice", "a/b", "../a", "", "x" * 41, "a\n"], {}),
        ([f"t-{number}" for number in range(1000)], {}),
        (1, {}), (True, {}), (None, {}), ([], {}), ({}, {}), ([[]], {}), ("", {}), ("*", {}),
    ],
)  # fmt: skip
async def test_a_claim_of_tenants_grants_what_it_plainly_says_and_nothing_else(claim: Any, tenants: Any) -> None:
    claims = await shared(tenants_claim="tenants").verify(signed(said(tenants=claim)))
    assert claims.tenants == tenants


@pytest.mark.parametrize("claim", ["Admin", "root", 1, True, None, [], {}, ["root"], {"admin": True}, "admin "])
async def test_a_role_that_isnt_mapped_grants_nothing(claim: Any) -> None:
    tokens = shared(role_claim="role", roles={"admin": "auditor", "boss": "admin"})
    assert (await tokens.verify(signed(said(role=claim)))).role is None
    assert (await tokens.verify(signed(said(role=["x", "boss", "admin"])))).role == "admin"
    assert (await shared(role_claim="role").verify(signed(said(role="admin")))).role is None


@pytest.mark.parametrize("path", ["a.b.c", "https://example.com/roles", "list.0"])
async def test_a_path_through_something_else_finds_nothing(path: str) -> None:
    tokens = shared(role_claim=path, roles={"boss": "admin"})
    shapes: list[dict[str, Any]] = [{"a": 1}, {"a": {"b": []}}, {"a": {"b": {"c": {}}}}, {"list": ["boss"]}]
    for about in shapes:
        assert (await tokens.verify(signed(said(**about)))).role is None
    assert (await tokens.verify(signed(said(**{path: "boss"})))).role == "admin"


@pytest.mark.parametrize("mail", ["ada", "@", "a@", "@b", "a b@c", "a@b@c", "a@b\n", 1, None, [], "x" * 300 + "@b"])
async def test_what_is_no_mail_is_none(mail: Any) -> None:
    claims = await shared().verify(signed(said(email=mail, email_verified="true")))
    assert claims.mail is None
    assert not claims.mail_verified


@pytest.mark.parametrize(
    "wrong",
    [
        {}, {"secret": b"short"}, {"jwks_url": "http://issuer.test"},
        {"secret": SECRET, "jwks_url": "https://issuer.test/jwks"},
        {"secret": SECRET, "algorithms": frozenset({"RS256"})}, {"secret": SECRET, "audience": ""},
        {"jwks_url": "https://issuer.test", "algorithms": frozenset({"RS256", "HS256"})},
        {"jwks_url": "https://issuer.test", "algorithms": frozenset({"none"})},
        {"secret": SECRET, "tenant_role": "admin"},
    ],
)  # fmt: skip
def test_a_configuration_that_would_let_strangers_in_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w") as refused:
        IssuerConfig(**{"issuer": "https://issuer.test", "audience": AUDIENCE, **wrong})
    assert SECRET.decode() not in str(refused.value)
    assert SECRET.decode() not in repr(IssuerConfig(issuer="x", audience="x", secret=SECRET))
