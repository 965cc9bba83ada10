"""Workspaces filled at the first start and kept current at later ones, by agent, plan and tenant; and when asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.events import AlertRaised
from innkeeper.core.operations import Operation, OperationKind, Status
from innkeeper.core.pack_errors import PackMissing, UnknownPack
from innkeeper.core.pack_releases import PerAgent
from innkeeper.core.plans import Plans, plans_from
from innkeeper.core.specs import SpecPatch
from innkeeper.core.works import RESULT, Works
from innkeeper.loops.supervise import Supervisor
from innkeeper.loops.works import WorkLoops
from innkeeper.units.layout import FolderUnits
from tests.support.house import House
from tests.support.packs import OWNER, Packs, packs_for, texts

V1 = {"SOUL.md": "soul 1", "sops/intake.md": "intake 1"}
V2 = {"SOUL.md": "soul 2", "sops/intake.md": "intake 2"}


class Inn:
    """A house with real folders, that furnishes them."""

    def __init__(
        self, data: Path, *, plans: Plans | None = None, per_agent: PerAgent | None = None, auto: bool = True
    ) -> None:
        self.house = House()
        self.house.units = FolderUnits(data / "tenants", owner_uid=OWNER[0], owner_gid=OWNER[1])  # type: ignore[assignment]
        self.house.furnish = self._furnish
        self.house.start()
        if plans:
            self.house.control.plans = plans
        self.packs: Packs = packs_for(self.house, data, plans=plans, per_agent=per_agent, auto=auto)
        self.data = data

    async def _furnish(self, tenant: Any) -> None:
        await self.packs.hydration.at_start(tenant)

    async def up(self, name: str = "alice", **patch: Any) -> None:
        """A tenant that is created and started."""
        await self.house.create(name, SpecPatch(**patch))
        await self.house.settle(name)

    async def again(self, name: str = "alice", **patch: Any) -> None:
        """The tenant, changed and started anew."""
        if patch:
            await self.house.control.update(name, SpecPatch(**patch), actor=SYSTEM)
        await self.house.control.restart(name, actor=SYSTEM)
        await self.house.settle(name)

    def workspace(self, name: str = "alice") -> Path:
        return self.data / "tenants" / name / "persistence/workspace"

    async def asked(self, name: str = "alice", **detail: Any) -> Operation:
        """A work asked for, at its end."""
        loops = WorkLoops(
            [self.packs.hydration], store=self.house.store, bus=self.house.bus, clock=self.house.clock, holder="one"
        )
        supervisor = Supervisor()
        loops.start(supervisor)
        async with supervisor.running():
            works = Works(store=self.house.store, bus=self.house.bus, clock=self.house.clock)
            began = await works.begin(OperationKind.HYDRATE, name, detail=detail, actor=SYSTEM)
            return await self.house.control.wait(began.id, timeout_s=20)

    async def versions(self, name: str = "alice") -> Mapping[str, tuple[str | None, str | None]]:
        """Of each pack, what it is to have and what it has."""
        standing = await self.packs.hydration.standing(name)
        return {each.name: (each.wanted, each.received.version if each.received else None) for each in standing.packs}

    async def trail(self) -> list[str]:
        async with self.house.store.look() as tx:
            return [entry.action for _, entry in await tx.trail(tenant="alice")]

    @property
    def alerts(self) -> list[AlertRaised]:
        return [event for event in self.house.happened if isinstance(event, AlertRaised)]


async def test_packs_are_the_agents_the_plans_and_the_tenants_and_the_last_counts(tmp_path: Path) -> None:
    plans = plans_from({"gold": {"packs": ["gold"]}})
    inn = Inn(tmp_path, plans=plans, per_agent={"plain": ["core@1"], "other": ["nothing"]})
    await inn.packs.add("1", V1)
    await inn.packs.add("2", V2)
    await inn.packs.add("1", {"SOUL.md": "gold soul", "gold.md": "gold"}, name="gold")
    await inn.up("alice")
    await inn.up("bob", uses={"plan": "gold"})
    await inn.up("carol", packs=("core",))
    assert texts(inn.workspace("alice")) == V1
    assert texts(inn.workspace("bob")) == {**V1, "SOUL.md": "gold soul", "gold.md": "gold"}
    assert texts(inn.workspace("carol")) == V2
    assert await inn.versions("bob") == {"core": ("1", "1"), "gold": ("1", "1")}


async def test_a_new_version_comes_at_the_next_start_and_only_then(tmp_path: Path) -> None:
    inn = Inn(tmp_path, per_agent={"plain": ["core"]})
    await inn.packs.add("1", V1)
    await inn.up()
    (inn.workspace() / "SOUL.md").write_text("my own soul")
    await inn.packs.add("2", V2)
    assert await inn.versions() == {"core": ("2", "1")}
    assert texts(inn.workspace()) == {**V1, "SOUL.md": "my own soul"}
    await inn.again()
    assert texts(inn.workspace()) == {**V2, "SOUL.md": "my own soul", "SOUL.md.new": "soul 2"}
    assert await inn.versions() == {"core": ("2", "2")}
    assert list((await inn.packs.hydration.standing("alice")).conflicts) == ["workspace/SOUL.md"]
    hydrated = (await inn.trail()).count("tenant.hydrated")
    await inn.again()
    assert (await inn.trail()).count("tenant.hydrated") == hydrated == 2, "where nothing is new, nothing is done"


async def test_by_hand_an_empty_workspace_is_filled_and_nothing_else(tmp_path: Path) -> None:
    inn = Inn(tmp_path, per_agent={"plain": ["core"]}, auto=False)
    await inn.packs.add("1", V1)
    await inn.up()
    await inn.packs.add("2", V2)
    await inn.again()
    assert texts(inn.workspace()) == V1
    ended = await inn.asked()
    assert ended.status is Status.DONE
    assert texts(inn.workspace()) == V2


async def test_an_agent_isnt_started_without_what_it_is_to_know_and_is_when_that_comes(tmp_path: Path) -> None:
    inn = Inn(tmp_path, per_agent={"plain": ["core"]})
    await inn.house.create()
    with pytest.raises(UnknownPack):
        await inn.house.settle()
    assert not inn.workspace().exists()
    assert "core" in ((await inn.house.tenant()).seen.error or "")
    await inn.packs.add("1", V1)
    await inn.house.settle()
    assert texts(inn.workspace()) == V1
    assert (await inn.house.tenant()).seen.ready


async def test_one_that_was_there_starts_without_a_version_that_cant_be_had_and_an_alert_says_so(
    tmp_path: Path,
) -> None:
    inn = Inn(tmp_path, per_agent={"plain": ["core"]})
    await inn.packs.add("1", V1)
    await inn.up()
    await inn.packs.add("2", V2)
    (tmp_path / "packs/core/2/pack.json").unlink()
    await inn.again()
    assert (await inn.house.tenant()).seen.ready
    assert texts(inn.workspace()) == V1
    (alert,) = inn.alerts
    assert (alert.tenant, alert.code) == ("alice", "hydration.failed")


async def test_what_a_workspace_has_already_is_kept(tmp_path: Path) -> None:
    """A folder that was adopted, or a pack that is given later."""
    inn = Inn(tmp_path)
    await inn.packs.add("1", V1)
    await inn.up()
    inn.workspace().mkdir()
    (inn.workspace() / "SOUL.md").write_text("was here before")
    await inn.again(packs=("core",))
    assert texts(inn.workspace()) == {**V1, "SOUL.md": "was here before", "SOUL.md.new": "soul 1"}
    await inn.again(packs=())
    assert texts(inn.workspace()) == {**V1, "SOUL.md": "was here before", "SOUL.md.new": "soul 1"}
    assert await inn.versions() == {"core": (None, "1")}


async def test_a_path_in_the_image_is_a_pack_whose_version_is_the_image(tmp_path: Path) -> None:
    inn = Inn(tmp_path, per_agent={"plain": ["image:/opt/core"]})
    inn.packs.images.folders["sha256:1.0", "/opt/core"] = {path: text.encode() for path, text in V1.items()}
    inn.packs.images.folders["sha256:2.0", "/opt/core"] = {path: text.encode() for path, text in V2.items()}
    await inn.up("alice")
    await inn.up("bob")
    assert texts(inn.workspace("alice")) == texts(inn.workspace("bob")) == V1
    assert inn.packs.images.reads == 1, "it is read out once"
    assert await inn.versions() == {"image:/opt/core": ("1.0", "1.0")}
    await inn.house.record_release("2.0")
    await inn.again(release="2.0")
    assert texts(inn.workspace("alice")) == V2
    assert texts(inn.workspace("bob")) == V1


async def test_a_dry_run_tells_what_would_be_done_and_does_nothing(tmp_path: Path) -> None:
    inn = Inn(tmp_path, per_agent={"plain": ["core"]})
    await inn.packs.add("1", V1)
    await inn.up()
    (inn.workspace() / "SOUL.md").write_text("my own soul")
    await inn.packs.add("2", V2)
    before = texts(tmp_path / "tenants")
    planned = await inn.asked(dry_run=True)
    result = planned.detail[RESULT]
    assert {each["path"]: each["act"] for each in result["files"]} == {
        "workspace/SOUL.md": "beside",
        "workspace/sops/intake.md": "update",
    }
    assert texts(tmp_path / "tenants") == before
    done = await inn.asked(force=True)
    assert {each["path"]: each["saved"] for each in done.detail[RESULT]["files"]} == {
        "workspace/SOUL.md": "workspace/SOUL.md.old",
        "workspace/sops/intake.md": None,
    }
    assert texts(inn.workspace()) == {**V2, "SOUL.md.old": "my own soul"}


async def test_one_pack_alone_leaves_the_others_in_the_versions_that_they_have(tmp_path: Path) -> None:
    inn = Inn(tmp_path, per_agent={"plain": ["core", "lib"]})
    for version, files in (("1", V1), ("2", V2)):
        await inn.packs.add(version, files)
        await inn.packs.add(version, {f"lib{version}.md": version}, name="lib")
        if version == "1":
            await inn.up()
    await inn.asked(packs=["lib"])
    assert texts(inn.workspace()) == {**V1, "lib2.md": "2"}
    await inn.asked(packs=["lib@1"])
    assert texts(inn.workspace()) == {**V1, "lib1.md": "1"}
    await inn.packs.add("1", {"extra.md": "extra"}, name="extra")
    await inn.asked(packs=["extra"])
    assert texts(inn.workspace()) == {**V1, "lib1.md": "1", "extra.md": "extra"}
    await inn.packs.releases.delete("core", "1", actor=SYSTEM)
    await inn.asked(packs=["lib@2"])
    assert texts(inn.workspace()) == {**V1, "lib2.md": "2", "extra.md": "extra"}, "core 1 can't be had any more"
    await inn.asked()
    assert texts(inn.workspace()) == {**V2, "lib2.md": "2", "extra.md": "extra"}


async def test_what_cant_be_delivered_ends_the_work_with_its_reason(tmp_path: Path) -> None:
    inn = Inn(tmp_path)
    await inn.up()
    without = await inn.asked()
    assert without.error is not None
    assert (without.status, without.error.code) == (Status.FAILED, "invalid_request")
    unknown = await inn.asked(packs=["core@7"])
    assert unknown.error is not None
    assert (unknown.status, unknown.error.code) == (Status.FAILED, UnknownPack.code)
    await inn.packs.add("1", V1)
    (tmp_path / "packs/core/1/pack.json").unlink()
    fresh = packs_for(inn.house, tmp_path)
    inn.packs = fresh
    missing = await inn.asked(packs=["core"])
    assert missing.error is not None
    assert missing.error.code == PackMissing.code
