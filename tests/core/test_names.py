"""Which hosts are ours, and which point here."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from innkeeper.core.errors import InvalidName
from innkeeper.core.names import KEPT_S, Names
from innkeeper.core.specs import SpecPatch
from innkeeper.core.tenant import Wanted
from tests.support.house import HOSTING, House

HERE, ELSEWHERE = "192.0.2.10", "203.0.113.1"
CUSTOM = "chat.customer.example"


class Zone:
    """What resolves to where, and what was looked up; it may be slow."""

    def __init__(self) -> None:
        self.records: dict[str, set[str]] = {HOSTING.console_host: {HERE}}
        self.asked: list[str] = []
        self.answers = asyncio.Event()
        self.answers.set()

    async def addresses(self, host: str) -> frozenset[str]:
        self.asked.append(host)
        await self.answers.wait()
        return frozenset(self.records.get(host, ()))


@pytest.fixture
def zone() -> Zone:
    return Zone()


@pytest.fixture
async def house() -> House:
    house = House()
    await house.record_release()
    await house.create("alice", SpecPatch(hostnames=(CUSTOM,)))
    return house


@pytest.fixture
def names(house: House, zone: Zone) -> Names:
    return Names(directory=house.directory, hosting=HOSTING, resolve=zone.addresses)


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("alice.localhost", True),
        ("console.localhost", True),
        (CUSTOM, True),
        ("nobody.localhost", False),
        ("localhost", False),
        ("x.alice.localhost", False),
        ("evil.example", False),
        ("console.evil.example", False),
        ("*.localhost", False),
        ("", False),
    ],
)
def test_what_is_ours(names: Names, host: str, known: bool) -> None:
    assert names.is_known(host) is known


async def test_a_strangers_hostname_costs_no_lookup_and_neither_do_our_own(names: Names, zone: Zone) -> None:
    assert not await names.may_have_certificate("evil.example")
    assert await names.may_have_certificate("alice.localhost")
    assert await names.may_have_certificate("console.localhost")
    assert zone.asked == []


@pytest.mark.parametrize(
    ("addresses", "may", "says"),
    [
        ({HERE}, True, "It points here."),
        (set(), False, f"{CUSTOM} doesn't resolve"),
        ({ELSEWHERE}, False, f"{CUSTOM} points to {ELSEWHERE}"),
        ({HERE, "2001:db8::1"}, False, f"{CUSTOM} points here, but to 2001:db8::1, too"),
    ],
)
async def test_a_tenants_own_hostname_must_point_here(
    house: House, names: Names, zone: Zone, addresses: set[str], may: bool, says: str
) -> None:
    zone.records[CUSTOM] = addresses

    assert await names.may_have_certificate(CUSTOM) is may
    [told] = await names.hostnames(await house.tenant())
    assert told.points_here is may
    assert told.says.startswith(says)
    assert told.expected == [HERE]


async def test_where_here_is_may_be_said_or_nobody_can_tell(house: House, zone: Zone) -> None:
    zone.records = {CUSTOM: {HERE}}
    unsure = Names(directory=house.directory, hosting=HOSTING, resolve=zone.addresses)
    told = Names(directory=house.directory, hosting=HOSTING, resolve=zone.addresses, public=[HERE])
    unchecked = Names(directory=house.directory, hosting=HOSTING, resolve=zone.addresses, check=False)

    assert not await unsure.may_have_certificate(CUSTOM)
    assert "INNKEEPER_PUBLIC_ADDRESSES" in (await unsure.hostnames(await house.tenant()))[0].says
    assert await told.may_have_certificate(CUSTOM)
    zone.records = {}
    assert await unchecked.may_have_certificate(CUSTOM)
    assert (await unchecked.hostnames(await house.tenant()))[0].points_here is None


async def test_who_is_leaving_gets_no_certificate_any_more(house: House, names: Names) -> None:
    tenant = await house.tenant()
    house.directory._put(replace(tenant, wanted=Wanted.GONE))

    assert not names.is_known("alice.localhost")


async def test_however_many_ask_one_lookup_is_under_way_and_its_answer_is_kept(names: Names, zone: Zone) -> None:
    zone.records[CUSTOM] = {HERE}
    zone.answers.clear()
    asking = [asyncio.create_task(names.may_have_certificate(CUSTOM)) for _ in range(100)]
    asking[0].cancel()  # whoever leaves takes nobody's answer along
    await asyncio.wait(asking, timeout=0.05)
    zone.answers.set()

    assert all(await asyncio.gather(*asking[1:]))
    assert await names.may_have_certificate(CUSTOM)
    assert zone.asked == [CUSTOM, HOSTING.console_host]


@pytest.mark.looptime
async def test_an_answer_is_forgotten_after_a_minute(names: Names, zone: Zone) -> None:
    assert not await names.may_have_certificate(CUSTOM)
    zone.records[CUSTOM] = {HERE}
    assert not await names.may_have_certificate(CUSTOM)
    await asyncio.sleep(KEPT_S)
    assert await names.may_have_certificate(CUSTOM)


@pytest.mark.looptime
async def test_a_name_server_that_is_away_holds_nobody_up_for_long(house: House, zone: Zone) -> None:
    zone.answers.clear()
    names = Names(directory=house.directory, hosting=HOSTING, resolve=zone.addresses, public=[HERE], lookup_s=5)
    began = asyncio.get_running_loop().time()

    assert not await names.may_have_certificate(CUSTOM)
    assert asyncio.get_running_loop().time() - began == 5


async def test_nobody_can_be_called_like_the_console(house: House) -> None:
    with pytest.raises(InvalidName, match=r"console\.localhost is the console's own host"):
        await house.create("console")
