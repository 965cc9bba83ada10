"""DNS messages as they come from tenants and go back to them: read with suspicion, written anew (RFC 1035, 6891)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.message import Message
from dns.rdatatype import RdataType

HEADER = 12
QUERY_MAX = 4096
"""No question is longer than 255 bytes and its options; whatever is longer isn't read."""
UDP_SAFE, UDP_MAX = 512, 1232
"""What a client takes that says nothing, and what passes everywhere unfragmented (DNS flag day 2020)."""
TTL_MAX = 900
"""In seconds, in `enforce`: an address stays open for longer than that, so nobody uses one that is shut again."""
ADDRESSES_MAX = 64
"""So many of an answer's addresses are passed on."""

PASSED = frozenset(
    {
        RdataType.A, RdataType.CNAME, RdataType.MX, RdataType.NS, RdataType.PTR, RdataType.SOA, RdataType.SRV,
        RdataType.TXT, RdataType.CAA, RdataType.NAPTR,
    }
)  # fmt: skip
"""What may be asked about a listed name."""
EMPTY = frozenset({RdataType.AAAA, RdataType.HTTPS, RdataType.SVCB})
"""What there is none of: tenants have no IPv6, and hints would lead to addresses that nobody has opened."""
_KEPT = PASSED | {RdataType.DNAME, RdataType.RRSIG}
NEVER = frozenset({RdataType.AXFR, RdataType.IXFR, RdataType.MAILA, RdataType.MAILB, RdataType.ANY, RdataType.TKEY})
"""What nobody gets: whole zones and everything at once."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """One question that can be answered."""

    message: dns.message.QueryMessage
    name: str
    """As it is compared: lower case, no final dot, escaped (RFC 4343), which makes it four times as long at most; and
    whole, for its end says whose it is."""
    kind: RdataType


class Unreadable(Exception):
    """No question; there is an answer to it, or none is due."""

    def __init__(self, answer: bytes | None) -> None:
        super().__init__("no question")
        self.answer = answer


def read(wire: bytes) -> Query:
    """The question; raises Unreadable."""
    if not HEADER < len(wire) <= QUERY_MAX or wire[2] & 0x80:
        raise Unreadable(None)  # an answer to an answer would make two servers talk for ever
    if wire[2] >> 3 & 15 != dns.opcode.QUERY:
        raise Unreadable(_bare(wire, dns.rcode.NOTIMP))
    try:
        message = dns.message.from_wire(wire, ignore_trailing=True)
        (question,) = message.question
        name = question.name.to_text(omit_final_dot=True).lower()
    except (dns.exception.DNSException, ValueError, IndexError):
        raise Unreadable(_bare(wire, dns.rcode.FORMERR)) from None
    if not isinstance(message, dns.message.QueryMessage) or question.rdclass != dns.rdataclass.IN:
        raise Unreadable(_bare(wire, dns.rcode.REFUSED))
    if message.edns > 0:
        raise Unreadable(_bare(wire, dns.rcode.FORMERR))
    return Query(message=message, name=name, kind=question.rdtype)


def _bare(wire: bytes, rcode: dns.rcode.Rcode) -> bytes:
    """A header alone: the asker's id, operation and wish for recursion."""
    return wire[:2] + bytes((wire[2] & 0x79 | 0x80, 0x80 | rcode)) + bytes(8)


def refusal(query: Query, rcode: dns.rcode.Rcode, *, blocked: bool = False) -> Message:
    """An answer that has nothing in it; `blocked` says why to whoever understands it (RFC 8914)."""
    options = [dns.edns.EDEOption(dns.edns.EDECode.BLOCKED, "not on the tenant's list")] if blocked else []
    return _response(query, rcode, options)


def passed_on(query: Query, answer: Message) -> Message:
    """What an upstream server said, as an answer to the tenant."""
    response = _response(query, answer.rcode())
    response.flags |= answer.flags & (dns.flags.AD | dns.flags.CD)
    response.answer, response.authority = list(answer.answer), list(answer.authority)
    response.additional = list(answer.additional)
    return response


def narrowed(query: Query, answer: Message, is_closed: Callable[[IPv4Address], bool]) -> tuple[Message, list[str]]:
    """The same with no address in it that nobody may reach, for a while only; and the addresses that are left."""
    response = _response(query, answer.rcode())
    left: list[str] = []
    for rrset in answer.answer:
        if rrset.rdtype not in _KEPT:
            continue
        ttl, rdatas = min(rrset.ttl, TTL_MAX), list(rrset)
        if rrset.rdtype == RdataType.A:
            rdatas = [each for each in rdatas if not is_closed(IPv4Address(each.address))][: ADDRESSES_MAX - len(left)]
            left += [each.address for each in rdatas]
        if rdatas:
            response.answer.append(dns.rrset.from_rdata_list(rrset.name, ttl, rdatas))
    response.authority = [rrset for rrset in answer.authority if rrset.rdtype == RdataType.SOA]
    return response, left


def packed(query: Query, response: Message, *, over_tcp: bool) -> bytes:
    """The response as it is sent; what doesn't fit is cut off and says so, which has the asker come back over TCP."""
    if over_tcp:
        limit = 65535
    else:
        limit = min(max(query.message.payload, UDP_SAFE), UDP_MAX) if query.message.edns >= 0 else UDP_SAFE
    try:
        return response.to_wire(max_size=limit)
    except dns.exception.TooBig:
        short = _response(query, response.rcode())
        short.flags |= dns.flags.TC
        return short.to_wire(max_size=limit)


def forwarded(query: Query) -> dns.message.QueryMessage:
    """The question as we ask it ourselves: nothing else of the tenant's packet goes on."""
    (question,) = query.message.question
    asked = dns.message.make_query(
        question.name,
        question.rdtype,
        want_dnssec=bool(query.message.ednsflags & dns.flags.DO),
        use_edns=0,
        payload=UDP_MAX,
    )
    asked.flags |= query.message.flags & dns.flags.CD
    return asked


def _response(query: Query, rcode: dns.rcode.Rcode, options: Iterable[dns.edns.Option] = ()) -> Message:
    response = dns.message.make_response(query.message, recursion_available=True, our_payload=UDP_MAX)
    if query.message.edns >= 0:
        response.use_edns(0, query.message.ednsflags & dns.flags.DO, UDP_MAX, options=list(options))
    response.set_rcode(rcode)
    return response
