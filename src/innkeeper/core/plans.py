"""Plans: what tenants may use, said once for many; and what one tenant may use after all."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from innkeeper.core.backup_plans import plan_from
from innkeeper.core.budget_errors import PlanMissing
from innkeeper.core.errors import Invalid, InvalidSpec
from innkeeper.core.packs import checked_packs
from innkeeper.core.uses import Budget, Uses
from innkeeper.core.uses_reading import NAME, uses_of

_SAID = ("budget", "calls_per_minute", "models", "packs", "backup")
NO_BUDGET = Budget()


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """How much of what an agent may use; a plan is one, and so is what results for a tenant."""

    budget: Budget = NO_BUDGET
    calls_per_minute: int | None = None
    models: tuple[str, ...] = field(default=())
    """Patterns of models; none: all."""
    packs: tuple[str, ...] = ()
    """Core content that a plan gives; a tenant's own is in its spec."""


Plans = Mapping[str, Allowance]


def plans_from(said: Mapping[str, Mapping[str, Any]]) -> Plans:
    """The plans of the settings; raises InvalidSpec."""
    return {name: _plan(name, each) for name, each in said.items()}


def allowance_of(uses: Uses, plans: Plans) -> Allowance:
    """What a tenant may use: by itself where it says so, else by its plan; PlanMissing where that is gone."""
    if uses.plan is None:
        return Allowance(budget=uses.budget, calls_per_minute=uses.calls_per_minute, models=uses.models)
    if uses.plan not in plans:
        raise PlanMissing(f"There is no plan {uses.plan!r} any more.", field="uses.plan")
    plan = plans[uses.plan]
    return Allowance(
        budget=Budget(**{each.name: _or(uses.budget, plan.budget, each.name) for each in fields(Budget)}),
        calls_per_minute=plan.calls_per_minute if uses.calls_per_minute is None else uses.calls_per_minute,
        models=uses.models or plan.models,
    )


def models_of(uses: Uses, plans: Plans) -> tuple[str, ...]:
    """Patterns of the models that a tenant may ask for, by itself or its plan; none: all."""
    plan = plans.get(uses.plan) if uses.plan else None
    return uses.models or (plan.models if plan else ())


def check_plan(patch: Mapping[str, Any] | None, plans: Collection[str]) -> None:
    """Raise InvalidSpec where a change names a plan that there isn't."""
    name = (patch or {}).get("plan")
    if name is not None and name not in plans:
        raise InvalidSpec(
            f"There is no plan {str(name)[:60]!r}.",
            field="uses.plan",
            hint=f"There are: {', '.join(sorted(plans))}." if plans else "The settings have none: see `plans`.",
        )


def _or(own: Budget, plan: Budget, name: str) -> Any:
    value = getattr(own, name)
    return getattr(plan, name) if value is None else value


def _plan(name: str, said: Mapping[str, Any]) -> Allowance:
    if not NAME.fullmatch(name):
        raise InvalidSpec(f"{name[:60]!r} can't be a plan's name.", field="plans", hint="a-z, 0-9 and '-'.")
    for unknown in said.keys() - set(_SAID):
        raise InvalidSpec(f"The plan {name!r} can't say {unknown[:40]!r}.", field=f"plans.{name}")
    known = {each.name for each in fields(Budget)}
    for unknown in (said.get("budget") or {}).keys() - known:
        raise InvalidSpec(f"There is no {unknown[:40]!r} in a budget.", field=f"plans.{name}.budget")
    try:
        plan_from(said.get("backup", {}), where=f"plans.{name}.backup")
        uses = uses_of({key: value for key, value in said.items() if key != "backup"})
    except InvalidSpec as problem:
        where = f"plans.{name}.{(problem.field or '').removeprefix('uses.').removeprefix(f'plans.{name}.')}"
        raise InvalidSpec(f"In the plan {name!r}: {problem.message}", field=where, hint=problem.hint) from None
    except TypeError as error:
        raise InvalidSpec(f"The plan {name!r} can't be read: {error}.", field=f"plans.{name}") from None
    return Allowance(
        budget=uses.budget,
        calls_per_minute=uses.calls_per_minute,
        models=uses.models,
        packs=_packs(name, said.get("packs") or ()),
    )


def _packs(name: str, said: Any) -> tuple[str, ...]:
    field = f"plans.{name}.packs"
    if not isinstance(said, list | tuple) or not all(isinstance(each, str) for each in said):
        raise InvalidSpec(f"The plan {name!r} names its packs in a list.", field=field)
    try:
        return checked_packs(said, field)
    except Invalid as problem:
        raise InvalidSpec(problem.message, field=field, hint=problem.hint) from None
