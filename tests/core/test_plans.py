"""Plans say what their tenants don't, and none that there isn't can be taken."""

from __future__ import annotations

from typing import Any

import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.budget_errors import PlanMissing
from innkeeper.core.errors import InvalidSpec
from innkeeper.core.plans import Allowance, allowance_of, models_of, plans_from
from innkeeper.core.specs import SpecPatch
from innkeeper.core.uses import Budget
from innkeeper.core.uses_reading import uses_of
from innkeeper.settings import Settings
from tests.support.house import House

GOLD = {"budget": {"day_tokens": 1000, "month_usd": 20}, "calls_per_minute": 60, "models": ["claude-*"]}
PLANS = plans_from({"gold": GOLD, "free": {"budget": {"day_tokens": 0}}})


def allowed(**said: Any) -> Allowance:
    return allowance_of(uses_of(said), PLANS)


def test_what_a_tenant_says_counts_instead_of_its_plan_one_by_one() -> None:
    assert allowed(plan="gold").budget == Budget(day_tokens=1000, month_usd=20)
    assert allowed(plan="gold", budget={"day_tokens": 5}).budget == Budget(day_tokens=5, month_usd=20)
    assert allowed(plan="gold").calls_per_minute == 60
    assert allowed(plan="gold", calls_per_minute=5).calls_per_minute == 5
    assert allowed(plan="gold").models == ("claude-*",)
    assert allowed(plan="gold", models=["gpt-*"]).models == ("gpt-*",)
    assert allowed(plan="free").budget.day_tokens == 0
    assert allowed(models=["m"], budget={"day_usd": 1}) == Allowance(models=("m",), budget=Budget(day_usd=1))
    assert models_of(uses_of({"plan": "gold"}), PLANS) == ("claude-*",)


def test_a_plan_that_is_gone_is_no_plan_without_limits() -> None:
    with pytest.raises(PlanMissing):
        allowed(plan="silver")


@pytest.mark.parametrize(
    "said",
    [
        {"Gold": {}},
        {"gold": {"price": 5}},
        {"gold": {"plan": "gold"}},
        {"gold": {"budget": {"week_tokens": 5}}},
        {"gold": {"budget": {"day_tokens": -5}}},
        {"gold": {"budget": {"day_tokens": "many"}}},
        {"gold": {"calls_per_minute": 0}},
        {"gold": {"models": ["a b"]}},
    ],
)
def test_settings_with_a_plan_that_cant_be_are_refused(said: dict[str, Any]) -> None:
    with pytest.raises(InvalidSpec):
        plans_from(said)
    with pytest.raises(ValueError, match="plan"):
        Settings(plans=said)


async def test_a_tenant_can_only_be_given_a_plan_that_there_is() -> None:
    house = House()
    house.control.plans = PLANS
    await house.create("alice", SpecPatch(uses={"plan": "gold"}))
    await house.settle()
    for name in ("silver", "../gold"):
        with pytest.raises(InvalidSpec) as refused:
            await house.control.update("alice", SpecPatch(uses={"plan": name}), actor=SYSTEM)
        assert refused.value.field == "uses.plan"
    house.control.plans = {}
    await house.control.update("alice", SpecPatch(uses={"calls_per_minute": 5}), actor=SYSTEM)
    assert (await house.tenant()).spec.uses.plan == "gold", "other changes are let through when the plan is gone"
    await house.control.update("alice", SpecPatch(uses={"plan": None}), actor=SYSTEM)
    assert (await house.tenant()).spec.uses.plan is None
