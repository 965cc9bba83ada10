"""`innkeeper tenant create|list|show|update|delete|wake|sleep|restart|stats|url`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.exits import wrong_usage
from innkeeper.cli.operate import operate
from innkeeper.cli.options import Json, TenantArgument, Wait, Yes
from innkeeper.cli.paths import path_part
from innkeeper.cli.receipts import write_receipt
from innkeeper.cli.spec_options import takes_spec

app = typer.Typer(no_args_is_help=True, help="Tenants: one customer's agent each.")


@app.command()
@takes_spec
def create(
    ctx: typer.Context,
    name: TenantArgument,
    spec: dict[str, Any],
    agent: Annotated[str, typer.Option(help="What it runs; see `innkeeper agent list`.")] = "openclaw",
    adopt: Annotated[bool, typer.Option("--adopt", help="Take over the folder that a former tenant left.")] = False,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Create a tenant and, unless told otherwise, wait until it is ready."""
    desk: Desk = ctx.obj
    body = {"name": name, "agent": agent, "adopt": adopt, **spec}
    operation, tenant = operate(desk.client, "POST", "/v1/tenants", tenant=name, body=body, wait=wait, as_json=as_json)
    if not as_json:
        _tell(operation, tenant)
        show.aside(f'Next: innkeeper tenant chat {name} "Hello" · innkeeper key create {name}')


@app.command("list")
def index(ctx: typer.Context, as_json: Json = False) -> None:
    """List all tenants."""
    desk: Desk = ctx.obj
    found = list(desk.client.items("/v1/tenants"))
    if as_json:
        show.document(found)
        return
    rows = [
        (
            tenant["name"],
            tenant["agent"],
            tenant["release"],
            tenant["state"] + ("" if tenant["ready"] or tenant["state"] != "running" else ", not ready"),
            show.ago(tenant["last_activity"]),
            tenant["url"],
        )
        for tenant in found
    ]
    hint = "There are no tenants yet. Create one: innkeeper tenant create NAME"
    show.table(("NAME", "AGENT", "RELEASE", "STATE", "LAST USED", "URL"), rows, empty=hint)


@app.command("show")
def look(ctx: typer.Context, name: TenantArgument, as_json: Json = False) -> None:
    """Show how a tenant should be, and how it is."""
    desk: Desk = ctx.obj
    tenant = desk.client.document(f"/v1/tenants/{path_part(name)}")
    if as_json:
        show.document(tenant)
        return
    limits, sleep, memory = tenant["limits"], tenant["sleep"], tenant["memory"]
    show.facts(
        [
            ("name", tenant["name"]),
            ("url", tenant["url"]),
            ("also at", ", ".join(tenant["hostnames"]) or None),
            ("access", tenant["access"]),
            *(("public path", path) for path in tenant["public_paths"]),
            *(("inbox path", _inbox_path(each)) for each in tenant["inbox"]),
            ("agent", f"{tenant['agent']} {tenant['release']}"),
            ("state", f"{tenant['state']} ({'ready' if tenant['ready'] else 'not ready'}), wanted {tenant['wanted']}"),
            ("error", tenant["error"]),
            ("limits", f"{limits['memory_mb']} MB, {limits['cpus']} CPUs, {limits['pids']} processes"),
            ("memory", show.memory(memory)),
            ("sleep", _ladder(sleep)),
            *(("schedule", line) for line in sleep["schedule"]),
            *(
                ("held awake", f"{hold['kind']}, for {show.ago(hold['since'])}: {hold['why']}")
                for hold in sleep["holds"]
            ),
            *(("skipped", f"{each['rung']}: {each['why']}") for each in sleep["skipped"]),
            ("next wake", tenant["next_wake"]),
            *_waking(tenant["wake"]),
            ("last used", show.ago(tenant["last_activity"])),
            ("last good backup", _good(tenant["backup"])),
            ("last proven restore", _proof(tenant["proven"])),
            ("revision", tenant["revision"]),
            ("created", tenant["created_at"]),
        ]
    )


@app.command()
@takes_spec
def update(
    ctx: typer.Context, name: TenantArgument, spec: dict[str, Any], wait: Wait = True, as_json: Json = False
) -> None:
    """Change what is said; the rest stays. Environment, hostnames and paths are replaced as a whole."""
    _ask(ctx.obj, "PATCH", name, body=spec, wait=wait, as_json=as_json)


@app.command()
def delete(
    ctx: typer.Context,
    name: TenantArgument,
    purge: Annotated[bool, typer.Option("--purge", help="Erase all its data, too, its key first.")] = False,
    receipt: Annotated[
        Path | None, typer.Option("--receipt", metavar="FILE", help="Write the signed receipt of a purge to this file.")
    ] = None,
    yes: Yes = False,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Delete a tenant. Its folder, key, snapshots and usage stay, unless --purge is said."""
    if receipt is not None and not (purge and wait):
        raise wrong_usage("A receipt is of a purge, and of one that is waited for.", hint="Say --purge, and --wait.")
    what = " and all its data, snapshots and keys" if purge else ", keeping its folder, key and snapshots"
    show.confirm(f"Delete {name}{what}?", yes=yes)
    operation = _ask(ctx.obj, "DELETE", name, params={"purge": purge}, wait=wait, as_json=as_json)
    result = operation.get("result") or {}
    if receipt is not None and result.get("receipt"):
        desk: Desk = ctx.obj
        write_receipt(desk.client.document(f"/v1/receipts/{path_part(result['receipt'])}"), receipt)


@app.command()
def wake(ctx: typer.Context, name: TenantArgument, wait: Wait = True, as_json: Json = False) -> None:
    """Wake a tenant."""
    _ask(ctx.obj, "POST", name, "/wake", wait=wait, as_json=as_json)


@app.command()
def sleep(
    ctx: typer.Context,
    name: TenantArgument,
    tier: Annotated[str, typer.Option(help="How deep: pause, page, save or stop.")] = "pause",
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Put a tenant to sleep; the next request wakes it."""
    _ask(ctx.obj, "POST", name, "/sleep", body={"tier": tier}, wait=wait, as_json=as_json)


@app.command()
def restart(ctx: typer.Context, name: TenantArgument, wait: Wait = True, as_json: Json = False) -> None:
    """Give a tenant a fresh instance; also tries a failed one again."""
    _ask(ctx.obj, "POST", name, "/restart", wait=wait, as_json=as_json)


@app.command()
def stats(ctx: typer.Context, name: TenantArgument, as_json: Json = False) -> None:
    """Measure what a tenant uses right now."""
    desk: Desk = ctx.obj
    used = desk.client.document(f"/v1/tenants/{path_part(name)}/stats")
    if as_json:
        show.document(used)
        return
    memory = used["memory"]
    show.facts(
        [
            ("state", used["state"]),
            ("memory", show.memory(memory)),
            ("charged", f"{used['charged_mb']} of {used['limit_mb']} MB" if memory else None),
            ("cpu", f"{used['cpu_s']} s" if memory else None),
            ("processes", used["pids"]),
            ("up for", show.duration(used["uptime_s"])),
            ("idle for", show.duration(used["idle_s"])),
        ]
    )


@app.command()
def url(ctx: typer.Context, name: TenantArgument, as_json: Json = False) -> None:
    """Print where a tenant answers."""
    desk: Desk = ctx.obj
    tenant = desk.client.document(f"/v1/tenants/{path_part(name)}")
    if as_json:
        show.document({"name": tenant["name"], "url": tenant["url"]})
    else:
        show.line(tenant["url"])


@app.command()
def hostnames(ctx: typer.Context, name: TenantArgument, as_json: Json = False) -> None:
    """Look whether a tenant's own hostnames point here, as their certificates need."""
    desk: Desk = ctx.obj
    found = list(desk.client.items(f"/v1/tenants/{path_part(name)}/hostnames"))
    if as_json:
        show.document(found)
        return
    rows = [(each["hostname"], _POINTS[each["points_here"]], each["says"]) for each in found]
    hint = f"{name} has none of its own. Add one: innkeeper tenant update {name} --hostname chat.example.com"
    show.table(("HOSTNAME", "POINTS HERE", "WHAT TO DO"), rows, empty=hint)


_POINTS = {True: "yes", False: "no", None: "-"}


def _inbox_path(each: dict[str, Any]) -> str:
    port = f", port {each['port']}" if each["port"] else ""
    return f"{each['path']} (id {each['id']}{port}, said by the {each['by']})"


def _good(backup: dict[str, Any] | None) -> str:
    """`6 h ago`, and what is wrong with those after it."""
    if backup is None:
        return "none: backups are off"
    wrong = f"; fails: {backup['error']['code']}" if backup["error"] else ""
    return f"{_past(backup['last_good'])}{' (LATE)' if backup['late'] else ''}{wrong}"


def _proof(proven: dict[str, Any] | None) -> str:
    """`2 d ago`, and whether a later drill failed."""
    if proven is None:
        return "never"
    return _past(proven["at"]) + ("" if proven["ok"] else f"; a drill failed {_past(proven['tried_at'])}")


def _past(moment: str | None) -> str:
    return "never" if moment is None else f"{show.ago(moment)} ago"


_RUNGS = ("pause", "page", "save", "stop")


def _waking(wake: dict[str, Any]) -> list[tuple[str, str]]:
    lines = []
    if wake["usual_s"] is not None:
        lines.append(("wakes in", f"{wake['usual_s']:.2g} s, as measured"))
    if wake["position"] is not None:
        lines.append(("waits", f"number {wake['position']} of {wake['of']} to start"))
    return lines


def _ladder(sleep: dict[str, Any]) -> str:
    rungs = [f"{rung} after {sleep[f'{rung}_after_s']} s" for rung in _RUNGS if sleep[f"{rung}_after_s"]]
    return (", ".join(rungs) or "never") + (f" ({sleep['preset']})" if sleep["preset"] else "")


def _ask(
    desk: Desk,
    method: str,
    name: str,
    verb: str = "",
    *,
    body: dict[str, Any] | None = None,
    params: dict[str, bool] | None = None,
    wait: bool,
    as_json: bool,
) -> dict[str, Any]:
    path = f"/v1/tenants/{path_part(name)}{verb}"
    operation, tenant = operate(
        desk.client, method, path, tenant=name, body=body, params=params, wait=wait, as_json=as_json
    )
    if not as_json:
        _tell(operation, tenant)
    return operation


def _tell(operation: dict[str, Any], tenant: dict[str, Any] | None) -> None:
    name = operation["tenant"]
    if operation["status"] != "done":
        show.line(f"{name}: {operation['kind']} is {operation['status']} as {operation['id']}")
    elif tenant is None:
        show.line(f"{name} is gone")
        _tell_what_is_left(operation.get("result") or {})
    else:
        show.line(f"{name} is {tenant['state']} at {tenant['url']}")


def _tell_what_is_left(result: dict[str, Any]) -> None:
    if result.get("receipt"):
        show.line(f"receipt: {result['receipt']}")
    elif kept := result.get("kept"):
        show.aside(f"Kept: {', '.join(kept)}. The same command with --purge erases them.")
