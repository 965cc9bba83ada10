"""An issuer's published keys: rotated, withdrawn, weak, slow, huge or gone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from innkeeper.core.identity_errors import TokenRefused
from innkeeper.identity.documents import SIZE_LIMIT, Documents
from innkeeper.identity.jwks import FRESH_S, STALE_S, public_key
from innkeeper.identity.jwt import IssuedTokens, IssuerConfig
from tests.identity.issuer import AUDIENCE, Issuer, Key, issuing

OLD = Key("old")
NEW = Key("new", curve=True)


class Clock:
    """Turns the time that keys are kept by."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing(OLD) as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def tokens(issuer: Issuer, clock: Clock) -> AsyncIterator[IssuedTokens]:
    config = IssuerConfig(issuer=issuer.url, audience=AUDIENCE, jwks_url=f"{issuer.url}/jwks")
    made = IssuedTokens(config, documents=Documents(timeout_s=2), monotonic=clock)
    yield made
    await made.close()


async def believed(tokens: IssuedTokens, issuer: Issuer, key: Key, **header: Any) -> bool:
    """Whether a fresh token by that key is."""
    believed.count += 1  # type: ignore[attr-defined]
    claims = issuer.claims(jti=str(believed.count))  # type: ignore[attr-defined]
    try:
        return bool(await tokens.verify(key.sign(claims, **header)))
    except TokenRefused:
        return False


believed.count = 0  # type: ignore[attr-defined]


async def test_keys_are_fetched_once_for_all_and_again_when_they_are_old(
    tokens: IssuedTokens, issuer: Issuer, clock: Clock
) -> None:
    assert all(await asyncio.gather(*(believed(tokens, issuer, OLD) for _ in range(50))))
    clock.now += FRESH_S - 1
    assert await believed(tokens, issuer, OLD)
    assert issuer.fetches == 1
    clock.now += 2
    assert all(await asyncio.gather(*(believed(tokens, issuer, OLD) for _ in range(50))))
    assert issuer.fetches == 2


async def test_a_new_key_is_found_and_a_withdrawn_one_forgotten(
    tokens: IssuedTokens, issuer: Issuer, clock: Clock
) -> None:
    assert await believed(tokens, issuer, OLD)
    issuer.keys = [OLD, NEW]
    clock.now += 61
    assert await believed(tokens, issuer, NEW)
    assert await believed(tokens, issuer, OLD)
    issuer.keys = [NEW]
    clock.now += FRESH_S + 1
    assert not await believed(tokens, issuer, OLD)
    assert await believed(tokens, issuer, NEW)


async def test_a_flood_of_unknown_keys_is_no_flood_at_the_issuer(
    tokens: IssuedTokens, issuer: Issuer, clock: Clock
) -> None:
    assert await believed(tokens, issuer, OLD)
    clock.now += 61
    asked = [believed(tokens, issuer, OLD, kid=f"unknown-{number}") for number in range(200)]
    assert not any(await asyncio.gather(*asked))
    assert issuer.fetches == 2
    assert await believed(tokens, issuer, OLD)
    clock.now += 61
    assert not await believed(tokens, issuer, OLD, kid="unknown")
    assert issuer.fetches == 3


async def test_one_who_gives_up_waiting_holds_nobody_up(tokens: IssuedTokens, issuer: Issuer) -> None:
    issuer.go_on.clear()
    first, second = (asyncio.create_task(believed(tokens, issuer, OLD)) for _ in range(2))
    async with asyncio.timeout(10):
        while not issuer.fetches:
            await asyncio.sleep(0)
    first.cancel()
    issuer.go_on.set()
    assert await second


async def test_old_keys_serve_for_a_day_while_the_issuer_is_gone(
    tokens: IssuedTokens, issuer: Issuer, clock: Clock
) -> None:
    assert await believed(tokens, issuer, OLD)
    issuer.status = 503
    clock.now += FRESH_S + 1
    assert all([await believed(tokens, issuer, OLD) for _ in range(20)])
    assert issuer.fetches == 2, "an issuer in trouble isn't asked at every request"
    clock.now += STALE_S
    assert not await believed(tokens, issuer, OLD)
    issuer.status = 200
    clock.now += 11
    assert await believed(tokens, issuer, OLD)


async def test_a_slow_issuer_is_given_up(issuer: Issuer) -> None:
    issuer.go_on.clear()
    config = IssuerConfig(issuer=issuer.url, audience=AUDIENCE, jwks_url=issuer.url)
    tokens = IssuedTokens(config, documents=Documents(timeout_s=0.05))
    with pytest.raises(TokenRefused) as refused:
        await tokens.verify(OLD.sign(issuer.claims()))
    assert "didn't answer" in refused.value.reason
    issuer.go_on.set()
    await tokens.close()


async def test_nobody_there_is_no_fault_of_ours(issuer: Issuer) -> None:
    config = IssuerConfig(issuer=issuer.url, audience=AUDIENCE, jwks_url="http://127.0.0.1:1/jwks")
    tokens = IssuedTokens(config)
    assert not await believed(tokens, issuer, OLD)
    await tokens.close()


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (200, b" " * (SIZE_LIMIT + 1), []),
        (200, b'{"keys": [' + b",".join([json.dumps(OLD.jwk).encode()] * 101) + b"]}", []),
        (200, b"[" * 100_000, []),
        (200, b"", []), (200, b"<html>", []), (200, b"[]", []), (200, b"{}", []), (200, b'{"keys": {}}', []),
        (200, b'{"keys": [1, null, [], {}, "x"]}', []), (200, b"\xff\xfe", []),
        (200, None, [(b"content-encoding", b"gzip")]),
        (302, b"", [(b"location", b"/other")]), (404, b"{}", []), (500, b"", []),
    ],
)  # fmt: skip
async def test_what_is_no_key_set_lets_nobody_in(
    tokens: IssuedTokens, issuer: Issuer, clock: Clock, status: int, body: bytes | None, headers: Any
) -> None:
    issuer.status, issuer.body, issuer.headers = status, body, headers
    assert not await believed(tokens, issuer, OLD)
    assert issuer.fetches == 1
    issuer.status, issuer.body, issuer.headers = 200, None, []
    clock.now += 61
    assert await believed(tokens, issuer, OLD)


async def test_without_an_id_only_the_only_key_will_do(tokens: IssuedTokens, issuer: Issuer, clock: Clock) -> None:
    assert await believed(tokens, issuer, OLD, kid=None)
    issuer.keys = [OLD, NEW]
    clock.now += FRESH_S + 1
    assert await believed(tokens, issuer, OLD, kid=None), "the only one for that algorithm"
    issuer.keys = [OLD, Key("other")]
    clock.now += FRESH_S + 1
    assert not await believed(tokens, issuer, OLD, kid=None)


@pytest.mark.parametrize(
    "described",
    [
        {"use": "enc"}, {"use": 1}, {"use": None}, {"key_ops": ["sign"]}, {"key_ops": []}, {"key_ops": "verify"},
        {"alg": "HS256"}, {"alg": "none"}, {"alg": "ES256"}, {"alg": 1}, {"alg": ["RS256"]}, {"kid": 1}, {"kid": []},
        {"kty": "oct", "k": "c2VjcmV0"}, {"kty": "EC"}, {"kty": None}, {"d": "AQAB"}, {"n": ""}, {"n": 1}, {"n": "!"},
        {"e": ""}, {"e": "AA"}, {"e": None},
    ],
)  # fmt: skip
def test_a_key_that_isnt_for_this_isnt_used(described: dict[str, Any]) -> None:
    assert public_key(OLD.jwk)
    assert public_key({**OLD.jwk, **described}) is None


def test_weak_keys_arent_used() -> None:
    assert public_key(Key("weak", bits=1024).jwk) is None
    assert public_key({**OLD.jwk, "n": "_" * 3000}) is None
    assert public_key({**OLD.jwk, "e": "_" * 300}) is None
    assert public_key({**NEW.jwk, "crv": "secp256k1"}) is None
    assert public_key({**NEW.jwk, "x": NEW.jwk["y"]}) is None


def test_a_key_that_names_its_algorithm_is_for_that_alone() -> None:
    narrow = public_key({**OLD.jwk, "alg": "PS256", "use": "sig", "key_ops": ["verify"]})
    assert narrow is not None
    assert narrow.algorithms == {"PS256"}
