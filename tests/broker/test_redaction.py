"""The key is blotted out however the stream is cut, and nothing else is touched."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.broker.redaction import Redactor, redact, redact_keys

SECRET = "sk-ssk-sk-x"
pieces = st.lists(st.sampled_from([SECRET, "sk-", "s", SECRET[:-1], "k-ss", "data: ", "\n"]), max_size=12)


@given(pieces, st.lists(st.integers(0, 200)))
def test_any_cut(parts: list[str], cuts: list[int]) -> None:
    text = "".join(parts).encode()
    redactor = Redactor(SECRET)
    edges = [0, *sorted(cut for cut in cuts if cut <= len(text)), len(text)]
    seen = b"".join(redactor.feed(text[a:b]) for a, b in pairwise(edges)) + redactor.rest()
    assert seen == text.replace(SECRET.encode(), b"*" * len(SECRET))


@given(pieces, st.lists(st.integers(0, 200)))
def test_several_secrets_at_any_cut(parts: list[str], cuts: list[int]) -> None:
    text = "".join(parts).encode()
    redactor = Redactor(SECRET, "k-ss", "")
    edges = [0, *sorted(cut for cut in cuts if cut <= len(text)), len(text)]
    seen = b"".join(redactor.feed(text[a:b]) for a, b in pairwise(edges)) + redactor.rest()
    assert seen == redact(text, SECRET, "k-ss", "")


KEY = 'Key+/"\\&=one-of-many'
SPELLED = [
    KEY,
    json.dumps(KEY)[1:-1],
    json.dumps(KEY)[1:-1].replace("/", "\\/"),
    quote(KEY, safe=""),
    quote(KEY),
    quote_plus(KEY),
    base64.b64encode(f"someone:{KEY}".encode()).decode(),
    base64.urlsafe_b64encode(f"me:{KEY}".encode()).decode(),
    base64.b64encode(KEY.encode()).decode(),
]


@pytest.mark.parametrize("spelled", SPELLED)
@pytest.mark.parametrize("width", [1, 7, 1000])
def test_every_spelling_goes(spelled: str, width: int) -> None:
    text, redactor = f'{{"was": "{spelled}", "and": 1}}'.encode(), Redactor(KEY, "another")
    cut = [text[at : at + width] for at in range(0, len(text), width)]
    seen = b"".join(map(redactor.feed, cut)) + redactor.rest()
    assert len(seen) == len(text)
    assert seen == redact(text, KEY, "another")
    assert b"**********" in seen
    assert spelled[12:-4].encode() not in seen
    assert seen.endswith(b'", "and": 1}')


def test_an_event_is_never_held_back() -> None:
    assert Redactor(SECRET).feed(b"data: sk-\n\n") == b"data: sk-\n\n"


def test_without_a_secret_nothing_changes() -> None:
    assert Redactor("").feed(b"abc") == b"abc"


def test_what_looks_like_a_key_goes() -> None:
    assert redact_keys("key sk-proj-ab**cd, task-1234 stays.") == "key [redacted], task-1234 stays."
