"""Images that operators bring, and what is reserved for their tenants."""

from __future__ import annotations

from dataclasses import replace

import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.errors import ImageMissing, Invalid, InvalidSpec, UnknownRelease
from innkeeper.core.specs import LimitsPatch, SpecPatch
from innkeeper.core.tenant import Limits, Tenant
from tests.support.house import House


@pytest.fixture
def house() -> House:
    house = House()
    house.agent.own_image = True
    house.agent.minimum_version = None
    return house


async def created(house: House, patch: SpecPatch) -> Tenant:
    tenant, _ = await house.control.create("alice", "plain", patch, actor=SYSTEM)
    return tenant


async def test_its_tag_is_its_release_and_its_id_is_what_runs(house: House) -> None:
    tenant = await created(house, SpecPatch(image="registry.example:5000/plain:0.9.2"))
    assert tenant.spec.release == "0.9.2"
    assert tenant.spec.image == await house.runtime.resolve_image("registry.example:5000/plain:0.9.2")
    changed, _ = await house.control.update("alice", SpecPatch(image="plain:0.9.3"), actor=SYSTEM)
    assert changed.spec.release == "0.9.3"
    assert changed.revision > tenant.revision
    kept, _ = await house.control.update("alice", SpecPatch(env={"A": "1"}), actor=SYSTEM)
    assert (kept.spec.release, kept.spec.image) == (changed.spec.release, changed.spec.image)


@pytest.mark.parametrize("image", ["plain", "registry.example:5000/plain", "plain@sha256:" + "ab" * 32])
async def test_without_a_tag_its_name_is(house: House, image: str) -> None:
    assert (await created(house, SpecPatch(image=image))).spec.release == image


async def test_one_that_isnt_here_is_refused(house: House) -> None:
    house.runtime.missing_images.add("plain:1")
    with pytest.raises(ImageMissing) as told:
        await created(house, SpecPatch(image="plain:1"))
    assert told.value.field == "image"


async def test_without_one_it_is_asked_for(house: House) -> None:
    with pytest.raises(UnknownRelease) as told:
        await created(house, SpecPatch())
    assert "--image" in told.value.hint


async def test_whose_image_is_made_here_brings_none(house: House) -> None:
    house.agent.own_image = False
    await house.record_release()
    with pytest.raises(Invalid, match="made here"):
        await created(house, SpecPatch(image="plain:1"))


async def test_what_is_reserved_is_kept_changed_and_given_up(house: House) -> None:
    house.agent.limits = replace(house.agent.limits, memory_reserve_mb=32, cpus_reserve=0.05)
    tenant = await created(house, SpecPatch(image="plain:1"))
    assert tenant.spec.limits == Limits(memory_mb=128, cpus=1.0, memory_reserve_mb=32, cpus_reserve=0.05)
    patch = SpecPatch(limits=LimitsPatch(memory_reserve_mb=0, cpus_reserve=0.5))
    changed, _ = await house.control.update("alice", patch, actor=SYSTEM)
    assert (changed.spec.limits.memory_reserve_mb, changed.spec.limits.cpus_reserve) == (None, 0.5)
    async with house.store.look() as tx:
        assert await tx.tenant("alice") == changed


@pytest.mark.parametrize(
    "limits",
    [
        LimitsPatch(memory_reserve_mb=129),
        LimitsPatch(memory_reserve_mb=-1),
        LimitsPatch(cpus_reserve=1.5),
        LimitsPatch(cpus_reserve=0.0001),
        LimitsPatch(memory_reserve_mb=100, memory_mb=90),
    ],
)
async def test_nothing_is_reserved_beyond_the_limit(house: House, limits: LimitsPatch) -> None:
    with pytest.raises(InvalidSpec, match="reserved"):
        await created(house, SpecPatch(image="plain:1", limits=limits))
