"""Answers that come packed unasked: read in bounded pieces, whatever is in them."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.broker.problems import ProviderFault
from innkeeper.broker.unpacking import PIECE, coding_of, unpacked
from tests.broker.house import CHAT, House, chat
from tests.broker.test_http_apis import api_house
from tests.support.fake_provider import FakeProvider, says

LARGE = 64 * 1024 * 1024


class _Parts(httpx2.AsyncByteStream):
    def __init__(self, parts: Sequence[bytes]) -> None:
        self._parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            yield part


def answer(*parts: bytes, coding: str, method: str = "GET") -> httpx2.Response:
    request = httpx2.Request(method, "http://api.example/")
    return httpx2.Response(200, headers={"content-encoding": coding}, stream=_Parts(parts), request=request)


async def pieces_of(response: httpx2.Response) -> list[bytes]:
    return [piece async for piece in unpacked(response, coding_of(response))]


def bomb() -> bytes:
    """Zeros, a thousandth of their size."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(LARGE // 2**20)) + packer.flush()


@given(st.binary(max_size=300), st.lists(st.integers(0, 200), max_size=3), st.sampled_from(["gzip", "deflate", ""]))
async def test_what_was_packed_comes_out_however_it_is_cut(plain: bytes, cuts: list[int], coding: str) -> None:
    packed = {"gzip": gzip.compress(plain) + gzip.compress(b"!"), "deflate": zlib.compress(plain), "": plain}[coding]
    at = [0, *sorted(cuts), len(packed)]
    parts = [packed[start:end] for start, end in pairwise(at)]
    assert b"".join(await pieces_of(answer(*parts, coding=coding))) == plain + (b"!" if coding == "gzip" else b"")


async def test_no_piece_is_large() -> None:
    pieces = await pieces_of(answer(bomb(), coding="gzip"))
    assert sum(map(len, pieces)) == LARGE
    assert max(map(len, pieces)) <= PIECE


@pytest.mark.parametrize(
    "packed",
    [gzip.compress(b"some words")[:-1], b"no gzip", gzip.compress(b"words") + b"more"],
    ids=["cut", "other", "followed"],  # what gzip makes tells the time
)
async def test_what_cant_be_unpacked_is_a_fault(packed: bytes) -> None:
    with pytest.raises(ProviderFault):
        await pieces_of(answer(packed, coding="gzip"))


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "gzip,identity"])
def test_other_codings_and_more_than_one_are_faults(coding: str) -> None:
    with pytest.raises(ProviderFault):
        coding_of(answer(coding=coding))
    assert coding_of(answer(coding=coding, method="HEAD")) == ""


async def test_a_model_that_answers_a_bomb_is_cut_off(openai_house: House, fake: FakeProvider) -> None:
    bombs = {"gzip": (bomb(), "provider_answer_too_large"), "gzip, gzip": (gzip.compress(bomb()), "provider_fault")}
    for coding, (packed, code) in bombs.items():
        fake.script = says(packed, content_type="application/json", content_encoding=coding)
        said = await openai_house.client().post(CHAT, json=chat())
        assert (said.status_code, said.json()["error"]["code"]) == (502, code)


async def test_an_api_that_answers_a_bomb_in_a_bomb_is_refused(provider: tuple[FakeProvider, str]) -> None:
    fake, url = provider
    fake.script = says(gzip.compress(bomb()), content_type="text/plain", content_encoding="gzip, gzip")
    async with api_house(url) as house:
        said = await house.client().get("/http/weather/x")
    assert (said.status_code, said.json()["error"]["code"]) == (502, "provider_fault")
