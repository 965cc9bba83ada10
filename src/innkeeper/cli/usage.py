"""`innkeeper usage`: what tenants have used, and what is left of a tenant's budget."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.exits import wrong_usage
from innkeeper.cli.options import Json
from innkeeper.cli.paths import path_part


def usage(
    ctx: typer.Context,
    tenant: Annotated[str | None, typer.Argument(help="One tenant, and how its budget stands.")] = None,
    by: Annotated[str | None, typer.Option(help="A line for each `month` (if not said) or `day`.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only this provider.")] = None,
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    since: Annotated[str | None, typer.Option(metavar="DAY", help="Nothing from before: 2026-11-01, in UTC.")] = None,
    until: Annotated[str | None, typer.Option(metavar="DAY", help="Nothing from after that day.")] = None,
    as_json: Json = False,
) -> None:
    """Show what tenants have used by period and model; or of one tenant what is used and left of its budget."""
    desk: Desk = ctx.obj
    asked = {"by": by, "provider": provider, "model": model, "since": since, "until": until}
    if tenant is None or any(value is not None for value in asked.values()):
        found = list(desk.client.items("/v1/usage", {**asked, "by": by or "month", "tenant": tenant}))
        _tell_lines(found, as_json=as_json)
        return
    if not tenant:
        raise wrong_usage("The tenant's name is empty.")
    document = desk.client.document(f"/v1/tenants/{path_part(tenant)}/usage")
    if as_json:
        show.document(document)
    else:
        _tell(document)


def _tell_lines(found: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        show.document(found)
        return
    rows = [(each["period"], each["tenant"], each["provider"], each["model"], *_numbers(each)) for each in found]
    columns = ("PERIOD", "TENANT", "PROVIDER", "MODEL", "CALLS", "INPUT", "CACHED", "OUTPUT", "USD", "ESTIMATED")
    show.table(columns, rows, empty="Nothing has been used.")


def _tell(document: dict[str, Any]) -> None:
    plan = document["plan"]
    show.facts(
        [
            ("tenant", document["tenant"]),
            (
                "plan",
                f"{plan}, which isn't in the settings: all calls are refused" if document["plan_missing"] else plan,
            ),
            ("calls a minute", document["calls_per_minute"]),
            *((each["limit"].replace("_", " "), _standing(each)) for each in document["limits"]),
            ("today", _sum(document["day"])),
            ("this month", _sum(document["month"])),
            ("prices", f"{document['prices']['date']}, {document['prices']['source']}"),
        ]
    )
    if document["models"]:
        show.line()
        rows = [(each["provider"], each["model"], *_numbers(each)) for each in document["models"]]
        columns = ("PROVIDER", "MODEL", "CALLS", "INPUT", "CACHED", "OUTPUT", "USD", "ESTIMATED")
        show.table(columns, rows, empty="")


def _standing(limit: dict[str, Any]) -> str:
    money = limit["limit"].endswith("_usd")
    used, most, reserved = (_number(limit[name], money=money) for name in ("used", "most", "reserved"))
    text = f"{used} of {most}, {limit['percent']:g} %"
    if limit["reserved"]:
        text += f"; {reserved} reserved by calls under way"
    return text + (": spent" if limit["spent"] else "")


def _number(number: float, *, money: bool) -> str:
    return f"{number:.2f} USD" if money else f"{number:.0f} tokens"


def _sum(counts: dict[str, Any]) -> str:
    return f"{counts['calls']} calls, {counts['tokens']['total']} tokens, {counts['usd']:.2f} USD"


def _numbers(counts: dict[str, Any]) -> tuple[show.Cell, ...]:
    tokens = counts["tokens"]
    cached = tokens["cache_read"] + tokens["cache_write"]
    return (counts["calls"], tokens["input"], cached, tokens["output"], f"{counts['usd']:.4f}", counts["unmeasured"])
