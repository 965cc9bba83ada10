"""DNS messages of hostile tenants and hostile servers."""

from __future__ import annotations

import contextlib
from ipaddress import IPv4Address

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.resolver import wire
from innkeeper.runtimes.firewall import is_closed


def question(name: str = "api.example.com", kind: str = "A", **more: object) -> bytes:
    return dns.message.make_query(name, kind, **more).to_wire()  # type: ignore[arg-type]


def answer(name: str, *rrsets: tuple[str, int, str, list[str]]) -> dns.message.Message:
    response = dns.message.make_response(dns.message.make_query(name, "A"))
    for owner, ttl, kind, texts in rrsets:
        response.answer.append(dns.rrset.from_text(owner, ttl, "IN", kind, *texts))
    return response


def test_a_question_is_read() -> None:
    query = wire.read(question("API.Example.COM."))
    assert (query.name, query.kind.name) == ("api.example.com", "A")
    assert wire.read(question("a\\.b.example.com")).name == "a\\.b.example.com", "a dot within a label is no boundary"


def test_a_name_that_escapes_make_long_is_read_to_its_end() -> None:
    name = r"\001" * 60 + "x.example.com.attacker.net"
    assert wire.read(question(name)).name == name


@given(st.binary(max_size=600))
def test_whatever_comes_is_a_question_or_unreadable(packet: bytes) -> None:
    with contextlib.suppress(wire.Unreadable):
        wire.packed(query := wire.read(packet), wire.refusal(query, dns.rcode.NXDOMAIN, blocked=True), over_tcp=False)


@given(st.data())
def test_a_question_that_was_tampered_with_harms_nobody(data: st.DataObject) -> None:
    packet = bytearray(question("api.example.com", data.draw(st.sampled_from(["A", "TXT", "HTTPS"])), use_edns=0))
    for _ in range(data.draw(st.integers(1, 4))):
        packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    query, said = read(bytes(packet[: data.draw(st.integers(1, len(packet)))]))
    if query is None:
        assert said is None or len(said) == wire.HEADER
        return
    said = wire.packed(query, wire.refusal(query, dns.rcode.SERVFAIL), over_tcp=False)
    assert dns.message.from_wire(said).rcode() == dns.rcode.SERVFAIL
    assert wire.forwarded(query).to_wire()


def read(packet: bytes) -> tuple[wire.Query | None, bytes | None]:
    """The question, or what is said to whoever sent something else."""
    try:
        return wire.read(packet), None
    except wire.Unreadable as unreadable:
        return None, unreadable.answer


def changed(packet: bytes, at: int, to: int) -> bytes:
    return packet[:at] + bytes((to,)) + packet[at + 1 :]


@pytest.mark.parametrize(
    ("packet", "rcode"),
    [
        (b"", None),
        (b"x" * 11, None),
        (b"\0" * (wire.QUERY_MAX + 1), None),
        (changed(question(), 2, 0x81), None),  # an answer
        (changed(question(), 2, dns.opcode.UPDATE << 3), dns.rcode.NOTIMP),
        (changed(question(), 5, 0), dns.rcode.FORMERR),  # no question
        (changed(question(), 5, 2), dns.rcode.FORMERR),  # two
        (changed(question(), len(question()) - 1, 3), dns.rcode.REFUSED),  # CHAOS
        (question(use_edns=0)[:-3], dns.rcode.FORMERR),
        (changed(question(use_edns=0), len(question(use_edns=0)) - 5, 1), dns.rcode.FORMERR),  # EDNS version 1
    ],
    ids=["empty", "short", "long", "answer", "update", "none", "two", "chaos", "cut", "edns1"],
)
def test_what_is_no_question_of_ours(packet: bytes, rcode: dns.rcode.Rcode | None) -> None:
    with pytest.raises(wire.Unreadable) as unreadable:
        wire.read(packet)
    if rcode is None:
        assert unreadable.value.answer is None
    else:
        assert unreadable.value.answer is not None
        said = dns.message.from_wire(unreadable.value.answer)
        assert (said.id, said.rcode(), bool(said.flags & dns.flags.QR)) == (
            int.from_bytes(packet[:2], "big"),
            rcode,
            True,
        )


def test_a_refusal_says_why_to_whoever_understands_it() -> None:
    query = wire.read(question(use_edns=0))
    said = dns.message.from_wire(
        wire.packed(query, wire.refusal(query, dns.rcode.NXDOMAIN, blocked=True), over_tcp=False)
    )
    assert said.rcode() == dns.rcode.NXDOMAIN
    assert [option.code for option in said.extended_errors()] == [dns.edns.EDECode.BLOCKED]
    plain = wire.read(question())
    old = dns.message.from_wire(
        wire.packed(plain, wire.refusal(plain, dns.rcode.NXDOMAIN, blocked=True), over_tcp=False)
    )
    assert old.edns == -1


def test_nothing_of_a_tenants_packet_goes_on_but_the_question() -> None:
    secret = dns.edns.GenericOption(dns.edns.OptionType.make(65001), b"smuggled")
    query = wire.read(question("api.example.com", use_edns=0, options=[secret]))
    asked = wire.forwarded(query)
    assert b"smuggled" not in asked.to_wire()
    assert asked.id != query.message.id or wire.forwarded(query).id != query.message.id


def test_an_answer_is_narrowed_to_what_may_be_reached() -> None:
    query = wire.read(question("a.example.com"))
    response, addresses = wire.narrowed(
        query,
        answer(
            "a.example.com",
            ("a.example.com.", 86400, "CNAME", ["b.example.net."]),
            ("b.example.net.", 86400, "A", ["192.168.1.1", "203.0.113.7", "127.0.0.1", "169.254.169.254"]),
            ("b.example.net.", 86400, "AAAA", ["2001:db8::1"]),
        ),
        is_closed,
    )
    assert addresses == ["203.0.113.7"]
    said = dns.message.from_wire(wire.packed(query, response, over_tcp=False))
    assert [rrset.rdtype.name for rrset in said.answer] == ["CNAME", "A"]
    assert {rrset.ttl for rrset in said.answer} == {wire.TTL_MAX}


def test_an_answer_leads_to_so_many_addresses_at_most() -> None:
    query = wire.read(question("a.example.com"))
    many = [f"203.0.{number // 250}.{number % 250}" for number in range(900)]
    response, addresses = wire.narrowed(query, answer("a.example.com", ("a.example.com.", 9, "A", many)), is_closed)
    assert len(addresses) == wire.ADDRESSES_MAX
    assert sum(len(rrset) for rrset in response.answer) == wire.ADDRESSES_MAX


def test_what_doesnt_fit_says_so() -> None:
    query = wire.read(question("a.example.com"))
    long = answer("a.example.com", ("a.example.com.", 9, "TXT", [f'"{"x" * 200}{number}"' for number in range(9)]))
    short = dns.message.from_wire(wire.packed(query, wire.passed_on(query, long), over_tcp=False))
    assert short.flags & dns.flags.TC
    assert not short.answer
    whole = dns.message.from_wire(wire.packed(query, wire.passed_on(query, long), over_tcp=True))
    assert len(whole.answer[0]) == 9
    assert wire.read(question(use_edns=0, payload=65000)).message.payload == 65000
    roomy = wire.read(question("a.example.com", use_edns=0, payload=65000))
    assert len(wire.packed(roomy, wire.passed_on(roomy, long), over_tcp=False)) <= wire.UDP_MAX


@given(st.ip_addresses(v=4))
def test_no_closed_address_is_ever_left(address: IPv4Address) -> None:
    query = wire.read(question("a.example.com"))
    said = answer("a.example.com", ("a.example.com.", 9, "A", [str(address)]))
    _, addresses = wire.narrowed(query, said, is_closed)
    assert addresses == ([] if is_closed(address) else [str(address)])
