"""`innkeeper doctor`: what is wrong with this host; asks the control plane, or looks for itself where none answers."""

from __future__ import annotations

from typing import Any

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.exits import ExitCode, Stop
from innkeeper.cli.options import Json

MARKS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL", "skip": "skip"}


def doctor(ctx: typer.Context, as_json: Json = False) -> None:
    """Examine the host; exit code 1 when something fails."""
    desk: Desk = ctx.obj
    try:
        found = desk.client.document("/v1/doctor")
    except Stop as stop:
        if stop.exit_code is not ExitCode.UNREACHABLE:
            raise
        show.aside(f"The control plane doesn't answer at {desk.settings.api}: this is what can be seen without it.")
        found = _locally(desk)
    if as_json:
        show.document(found)
    else:
        _print(found["findings"])
    if not found["ok"]:
        raise typer.Exit(ExitCode.FAILED)


def _print(findings: list[dict[str, Any]]) -> None:
    width = max(len(finding["name"]) for finding in findings)
    for finding in findings:
        show.line(f"{MARKS[finding['status']]}  {finding['name']:<{width}}  {finding['says']}")
        if finding["fix"] and finding["status"] in ("warn", "fail"):
            show.line(f"      {'':<{width}}  -> {finding['fix']}")


def _locally(desk: Desk) -> dict[str, Any]:
    """The same document, made in this process."""
    import asyncio

    from innkeeper.diagnosis import doctor_host
    from innkeeper.frontage import edge_plan
    from innkeeper.host import doctor

    findings = [
        {"name": found.name, "status": str(found.status), "says": found.says, "fix": found.fix or None}
        for found in asyncio.run(doctor.run(doctor_host(desk.settings, edge_plan(desk.settings))))
    ]
    return {"ok": all(finding["status"] != "fail" for finding in findings), "findings": findings}
