"""Why a call isn't made, though its tenant may call: what it may use is used up, or isn't known."""

from __future__ import annotations

from innkeeper.core.errors import Invalid, Kind, Problem


class BudgetSpent(Problem):
    """The tenant has used what it may in this day or month."""

    code = "budget_spent"
    kind = Kind.CONFLICT
    default_hint = "Wait for the next day or month (UTC), or have the operator raise the budget."

    def __init__(self, message: str, *, until_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = until_s


class BudgetReserved(Problem):
    """What is left of the tenant's budget is reserved for its calls that are under way."""

    code = "budget_reserved"
    kind = Kind.NOT_READY
    default_hint = "Try again when one of them has ended; what it didn't use is free again then."
    retry_after_s = 2


class RateLimited(Problem):
    """The tenant makes more calls in a minute than it may."""

    code = "rate_limited"
    kind = Kind.NOT_READY
    default_hint = "Slow down, or have the operator raise `calls_per_minute`."

    def __init__(self, message: str, *, wait_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = wait_s


class PlanMissing(Problem):
    """The tenant's plan isn't in the settings any more, so what it may use isn't known."""

    code = "plan_missing"
    kind = Kind.FORBIDDEN
    default_hint = "The operator should put the plan back into the settings, or give the tenant another one."


class ModelNotPriced(Problem):
    """The price table doesn't have the model, and says that such calls aren't made."""

    code = "model_not_priced"
    kind = Kind.FORBIDDEN
    default_hint = "Ask for another model, or have the operator add it to the price table."


class PricesInvalid(Invalid):
    """The price table can't be read, or says what can't be."""

    code = "invalid_prices"
    default_hint = "See docs/how-to/set-budgets.md for its form; without `INNKEEPER_PRICES` the built-in one counts."
