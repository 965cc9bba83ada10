"""Traces and arrivals: what can be read, what is refused with its place, and that chance is what it is said to be."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.core.errors import Invalid, TraceInvalid
from innkeeper.core.simulate import Request, arrivals_from, read_trace
from innkeeper.core.simulate.arrivals import FORM, Arrivals


def read(text: str | bytes) -> list[Request]:
    raw = text.encode() if isinstance(text, str) else text
    return list(read_trace(raw.splitlines(keepends=True), "trace.csv"))


def test_both_forms_say_the_same() -> None:
    wanted = [(0.0, 0, 0.0), (1.5, 1, 30.0), (1.5, 0, 2.0)]
    assert read("at_s,tenant,busy_s\n0,alice,\n1.5,bob,30\n\n1.5, alice ,2\n") == wanted
    assert read("0,alice\n1.5,bob,30\r\n1.5,alice,2") == wanted
    assert read("\ufeffat_s,tenant\n0,alice\n1.5,bob,30\n1.5,alice,2") == wanted
    assert (
        read(
            '{"at_s": 0, "tenant": "alice"}\n{"at_s": 1.5, "tenant": "bob", "busy_s": 30, "more": []}\n'
            '{"at_s": 1.5, "tenant": "alice", "busy_s": 2}\n'
        )
        == wanted
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0,a\n5,a\n3,b\n", "line 3: 3 comes after 5, but is earlier"),
        ("0,a\nnow,a\n", "line 2: at_s is 'now', and no number"),
        ("0,a\n1,a,nan\n", "line 2: busy_s can't be nan"),
        ("0,a\n1,a,-1\n", "line 2: busy_s can't be -1"),
        ("0,a\n1,a,1e9\n", "line 2: busy_s is 1e+09"),
        ("-1,a\n", "line 1: at_s can't be -1"),
        ("inf,a\n", "line 1: at_s can't be inf"),
        ("1e999,a\n", "line 1: at_s can't be 1e999"),
        ("0,\n", "line 1: the tenant has no name"),
        ("0\n", "line 1: it has 1 fields"),
        ("0,a,1,2\n", "line 1: it has 4 fields"),
        ("0,a\nat_s,tenant\n", "line 2: at_s is 'at_s'"),
        ('{"at_s": 0}\n', "line 1: at_s or tenant is missing"),
        ('{"at_s": 0, "tenant": "a"\n', "line 1: it isn't JSON"),
        ('{"at_s": true, "tenant": "a"}\n', "line 1: at_s can't be True"),
        ('{"at_s": [0], "tenant": "a"}\n', "line 1: at_s is '[0]', and no number"),
        ('{"at_s": 0, "tenant": {}}\n', "line 1: the tenant has no name"),
        ('{"at_s": ' + "[" * 4000, "line 1: it isn't JSON"),
        ('{"at_s": ' + "9" * 4000 + ', "tenant": "a"}', "and no number"),
        ("[0, 1]\n", "line 1: at_s is '[0'"),
        ("1e9,a\n1e12,a\n", "line 2: it is more than ten years after the first; are these milliseconds?"),
        ("0," + "a" * 5000, "line 1: it is longer than 4096 bytes"),
        (b"0,a\n1,\xff\n", "line 2: it isn't UTF-8"),
        ("", "trace.csv holds no request"),
        ("at_s,tenant\n\n", "trace.csv holds no request"),
    ],
)
def test_what_doesnt_hold_is_told_with_its_line(text: str | bytes, says: str) -> None:
    with pytest.raises(TraceInvalid) as caught:
        read(text)
    assert says in caught.value.message
    assert caught.value.hint


def test_a_trace_is_read_no_further_than_it_is_asked_for() -> None:
    endless = (b"%d,a\n" % number for number in iter(int, 1))
    assert len(list(islice(read_trace(endless, "endless"), 3))) == 3


@given(st.binary(max_size=200))
def test_no_bytes_find_a_bug(raw: bytes) -> None:
    with suppress(TraceInvalid):
        read(raw)


values = st.none() | st.booleans() | st.floats() | st.integers() | st.text("0123456789.e-_ ", max_size=6)


@given(st.lists(st.dictionaries(st.sampled_from(["at_s", "tenant", "busy_s"]), values), max_size=5))
def test_no_json_finds_a_bug(objects: list[dict[str, object]]) -> None:
    with suppress(TraceInvalid):
        read("\n".join(json.dumps(each) for each in objects))


# --- by chance --------------------------------------------------------------------------------------------------------


def test_a_form_is_read_whole() -> None:
    assert arrivals_from("tenants=10, per_day=2.5,hours=24,busy_s=3,spread=1,seed=7") == Arrivals(
        tenants=10, per_day=2.5, hours=24, busy_s=3, spread=1, seed=7
    )
    assert arrivals_from("hours=1,tenants=1e6,per_day=4").tenants == 1_000_000
    assert arrivals_from(FORM.replace("[", "").replace("]", "")).tenants == 1000


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "'' is nothing that can be said there"),
        ("tenants=1,per_day=1", "hours is missing"),
        ("tenants=0,per_day=1,hours=1", "tenants can't be 0: it goes from 1 to 1e+07"),
        ("tenants=1.5,per_day=1,hours=1", "tenants is a whole number"),
        ("tenants=1e12,per_day=1,hours=1", "tenants can't be 1e12"),
        ("tenants=1,per_day=-1,hours=1", "per_day can't be -1"),
        ("tenants=1,per_day=nan,hours=1", "per_day can't be nan"),
        ("tenants=1,per_day=1,hours=inf", "hours can't be inf"),
        ("tenants=1,per_day=1,hours=soon", "hours takes a number, not 'soon'"),
        ("tenants=1,per_day=1,hours=1,hours=2", "hours is said twice"),
        ("tenants=1,per_day=1,hours=1,colour=red", "'colour=red' is nothing"),
        ("tenants=1,per_day=1,hours=1,spread=-1", "spread can't be -1"),
        ("tenants=1,per_day=1,hours=1,", "'' is nothing"),
    ],
)
def test_an_impossible_form_says_why(text: str, says: str) -> None:
    with pytest.raises(Invalid) as caught:
        arrivals_from(text)
    assert says in caught.value.message
    assert FORM in caught.value.hint


def test_requests_come_in_order_as_often_as_was_said_and_from_everybody() -> None:
    found = list(Arrivals(tenants=1000, per_day=20, hours=24).requests())
    times = [when for when, _, _ in found]
    assert times == sorted(times)
    assert len(found) == pytest.approx(20_000, rel=0.03)
    by_tenant = Counter(tenant for _, tenant, _ in found)
    assert len(by_tenant) == 1000
    assert max(by_tenant.values()) < 50


def test_a_spread_fleet_asks_as_often_in_all_but_most_of_it_by_few() -> None:
    found = list(Arrivals(tenants=1000, per_day=20, hours=24, spread=1.0).requests())
    assert len(found) == pytest.approx(20_000, rel=0.03)
    by_tenant = sorted(Counter(tenant for _, tenant, _ in found).values(), reverse=True)
    assert sum(by_tenant[:100]) / len(found) == pytest.approx(0.39, abs=0.05)
