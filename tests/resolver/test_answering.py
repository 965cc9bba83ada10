"""What tenants are answered, by mode and list."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from innkeeper.core.tenant import Tenant
from innkeeper.core.uses import Egress, EgressMode, Uses
from innkeeper.resolver.answering import NameServer, Outcome
from innkeeper.resolver.turns import EACH
from innkeeper.resolver.upstream import NobodyAnswers
from innkeeper.runtimes.firewall import is_closed
from innkeeper.runtimes.memory_ways_out import MemoryWaysOut
from tests.store.examples import tenant

OFF, LEARN, ENFORCE = EgressMode
ALICE, WEB = "10.64.0.16", "203.0.113.7"


class Zone:
    """An upstream that knows every name, and can be away, slow or interrupted."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.away = False
        self.go = asyncio.Event()
        self.go.set()
        self.meanwhile: Callable[[], None] = lambda: None
        self.texts: dict[str, list[str]] = {"A": [WEB], "AAAA": ["2001:db8::1"], "TXT": ['"hello"']}

    async def ask(self, question: dns.message.QueryMessage) -> dns.message.Message:
        (wanted,) = question.question
        self.asked.append(f"{wanted.name} {wanted.rdtype.name}")
        await self.go.wait()
        self.meanwhile()
        if self.away:
            raise NobodyAnswers("Nobody answers.")
        response = dns.message.make_response(question)
        if texts := self.texts.get(wanted.rdtype.name):
            response.answer.append(dns.rrset.from_text(wanted.name, 60, "IN", wanted.rdtype.name, *texts))
        return response


class Bench:
    """A name server, and one tenant."""

    def __init__(self, mode: EgressMode, *names: str) -> None:
        self.tenant: Tenant | None = tenant("alice")
        self.set(mode, *names)
        self.zone, self.ways_out = Zone(), MemoryWaysOut()
        self.noted: list[tuple[str, bool]] = []
        self.outcomes: list[Outcome] = []
        self.server = NameServer(
            find=lambda address: self.tenant if address == ALICE else None,
            upstream=self.zone,
            ways_out=self.ways_out,
            is_closed=is_closed,
            note=lambda tenant, name, refused: self.noted.append((name, refused)),
            count=self.outcomes.append,
        )

    def set(self, mode: EgressMode, *names: str) -> None:
        assert self.tenant
        uses = Uses(egress=Egress(mode=mode, names=names))
        self.tenant = replace(self.tenant, spec=replace(self.tenant.spec, uses=uses))

    async def ask(self, name: str, kind: str = "A", address: str = ALICE) -> dns.message.Message | None:
        asked = dns.message.make_query(name, kind)
        said = await self.server.answer(address, asked.to_wire())
        if said is None:
            return None
        answer = dns.message.from_wire(said)
        assert answer.id == asked.id
        assert asked.is_response(answer)
        return answer


async def said(bench: Bench, name: str, kind: str = "A") -> tuple[dns.rcode.Rcode, list[str]]:
    answer = await bench.ask(name, kind)
    assert answer
    return answer.rcode(), [str(rdata) for rrset in answer.answer for rdata in rrset]


async def test_learning_passes_everything_on_and_notes_it() -> None:
    bench = Bench(LEARN, "api.example.com")
    assert await said(bench, "www.example.com") == (dns.rcode.NOERROR, [WEB])
    assert await said(bench, "www.example.com", "AAAA") == (dns.rcode.NOERROR, ["2001:db8::1"])
    assert bench.noted == [("www.example.com", False)] * 2
    assert bench.ways_out.reachable == {}


async def test_enforcing_answers_listed_names_and_opens_the_way_first() -> None:
    bench = Bench(ENFORCE, "*.example.com")
    bench.zone.texts["A"] = [WEB, "10.0.0.1"]
    assert await said(bench, "API.example.com") == (dns.rcode.NOERROR, [WEB])
    assert bench.ways_out.reachable == {0: {WEB: {"api.example.com"}}}
    assert await said(bench, "example.com") == (dns.rcode.NXDOMAIN, [])
    assert await said(bench, "secret.in.this.name.evil.net") == (dns.rcode.NXDOMAIN, [])
    assert bench.zone.asked == ["API.example.com. A"], "what is refused goes nowhere"
    assert bench.noted[-1] == ("secret.in.this.name.evil.net", True)
    assert bench.outcomes == [Outcome.ANSWERED, Outcome.REFUSED, Outcome.REFUSED]


@pytest.mark.parametrize("kind", ["AAAA", "HTTPS", "SVCB"])
async def test_what_would_lead_past_the_list_is_empty(kind: str) -> None:
    bench = Bench(ENFORCE, "api.example.com")
    assert await said(bench, "api.example.com", kind) == (dns.rcode.NOERROR, [])
    assert bench.zone.asked == []


@pytest.mark.parametrize("kind", ["NULL", "KEY", "TYPE65280", "ANY", "AXFR"])
async def test_odd_questions_are_refused(kind: str) -> None:
    bench = Bench(ENFORCE, "api.example.com")
    assert await said(bench, "api.example.com", kind) == (dns.rcode.REFUSED, [])
    assert bench.zone.asked == []


@pytest.mark.parametrize(("kind", "rcode"), [("ANY", dns.rcode.REFUSED), ("NULL", dns.rcode.NOERROR)])
async def test_who_learns_may_ask_for_all_but_everything(kind: str, rcode: dns.rcode.Rcode) -> None:
    assert await said(Bench(LEARN), "api.example.com", kind) == (rcode, [])


async def test_a_name_that_would_be_listed_if_it_were_cut_off_is_refused() -> None:
    bench = Bench(ENFORCE, "*.example.com")
    escaped = r"\001" * 60 + "x"  # 253 letters up to the end of `.example.com`
    assert await said(bench, f"{escaped}.example.com.attacker.net") == (dns.rcode.NXDOMAIN, [])
    assert (bench.zone.asked, bench.ways_out.reachable) == ([], {})
    assert [(name[-12:], len(name) <= 253, refused) for name, refused in bench.noted] == [("attacker.net", True, True)]


async def test_texts_of_listed_names_pass_and_open_nothing() -> None:
    bench = Bench(ENFORCE, "api.example.com")
    assert await said(bench, "api.example.com", "TXT") == (dns.rcode.NOERROR, ['"hello"'])
    assert bench.ways_out.reachable == {}


async def test_nobody_upstream_and_no_way_to_be_opened_are_failures() -> None:
    bench = Bench(ENFORCE, "api.example.com")
    bench.zone.away = True
    assert await said(bench, "api.example.com") == (dns.rcode.SERVFAIL, [])
    bench.zone.away, bench.ways_out.broken = False, True
    assert await said(bench, "api.example.com") == (dns.rcode.SERVFAIL, []), "no address is told that isn't open"
    assert bench.outcomes == [Outcome.FAILED, Outcome.FAILED]


async def test_strangers_and_those_who_arent_watched_get_nothing() -> None:
    bench = Bench(OFF)
    assert await bench.ask("api.example.com") is None
    bench.set(LEARN)
    assert await bench.ask("api.example.com", address="10.64.0.17") is None
    assert bench.outcomes == [Outcome.DROPPED, Outcome.DROPPED]
    assert bench.noted == []


async def test_a_list_that_changes_under_a_question_holds() -> None:
    bench = Bench(ENFORCE, "api.example.com")
    bench.zone.meanwhile = lambda: bench.set(ENFORCE, "www.example.com")
    assert await said(bench, "api.example.com") == (dns.rcode.NXDOMAIN, [])
    assert bench.ways_out.reachable == {0: {}}


async def test_a_tenant_that_goes_under_a_question_gets_no_way() -> None:
    bench = Bench(ENFORCE, "api.example.com")

    def gone() -> None:
        bench.tenant = None

    bench.zone.meanwhile = gone
    assert await said(bench, "api.example.com") == (dns.rcode.NXDOMAIN, [])
    assert bench.ways_out.reachable == {0: {}}


async def test_so_many_questions_of_one_tenant_at_once() -> None:
    bench = Bench(LEARN)
    bench.zone.go.clear()
    asking = [asyncio.create_task(bench.ask(f"{number}.example.com")) for number in range(EACH + 5)]
    async with asyncio.timeout(5):
        while len(bench.zone.asked) < EACH or bench.outcomes.count(Outcome.DROPPED) < 5:
            await asyncio.sleep(0)
    bench.zone.go.set()
    answers = await asyncio.gather(*asking)
    assert sum(answer is None for answer in answers) == 5
    assert await bench.ask("again.example.com") is not None


async def test_what_is_no_question_is_told_so_and_noted_nowhere() -> None:
    bench = Bench(ENFORCE)
    assert await bench.server.answer(ALICE, b"\x12\x34" + b"\0" * 14) is not None
    assert await bench.server.answer(ALICE, b"hello") is None
    assert bench.noted == []
    assert bench.outcomes == [Outcome.UNREADABLE] * 2
