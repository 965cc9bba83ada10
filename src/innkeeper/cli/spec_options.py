"""The options that describe a tenant's spec, and the body of the API that they amount to."""

from __future__ import annotations

import inspect
import json
import math
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from innkeeper.cli.exits import wrong_usage

_SLEEP = "Sleep"
_BUDGET = "What it may use, by the calendar in UTC; `none` takes a limit away"
_CUSTOM = "The agent `custom`"
_IDLE = "SECONDS|never"
_MOST = "NUMBER|none"
_NONE = ["none"]


def spec_body(
    *,
    release: Annotated[str | None, typer.Option(help="Version of the agent; the newest if not said.")] = None,
    wanted: Annotated[str | None, typer.Option(help="auto (sleeps when idle), awake (never does) or asleep.")] = None,
    memory_mb: Annotated[int | None, typer.Option(help="Memory limit in MB.")] = None,
    cpus: Annotated[float | None, typer.Option(help="CPU limit.")] = None,
    pids: Annotated[int | None, typer.Option(help="Limit of processes and threads.")] = None,
    memory_reserve_mb: Annotated[
        int | None, typer.Option(metavar="MB", help="So much of its memory is taken back last; 0: none.")
    ] = None,
    cpus_reserve: Annotated[
        float | None, typer.Option(metavar="CPUS", help="Its weight when the processors are busy; 0: the usual one.")
    ] = None,
    env: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Environment, repeated; not for secrets.")
    ] = None,
    env_file: Annotated[Path | None, typer.Option(help="More environment: a file of KEY=VALUE lines.")] = None,
    hostname: Annotated[list[str] | None, typer.Option(help="A host name of the tenant's own, repeated.")] = None,
    access: Annotated[str | None, typer.Option(help="guarded (members, keys), key (keys alone) or open.")] = None,
    public_path: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH", help="Open to anybody without a key, repeated: `/verify`, `/static/*`, or `none` for none."
        ),
    ] = None,
    inbox: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH[,id=RULE][,port=PORT]",
            help="Webhooks to PATH are kept and delivered in order, repeated, or `none` for none. RULE finds a "
            "message's own id: auto, none, header:NAME or json:a.b. PORT is where the agent listens for it.",
        ),
    ] = None,
    pack: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[@VERSION]",
            help="Core content of its own, repeated: the newest, or one version; `image:/PATH` from its image; "
            "`none` for none. See `innkeeper pack list`.",
        ),
    ] = None,
    uses: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What its agent may use: a JSON file, as the API's `uses`; `-` reads stdin."),
    ] = None,
    agent_config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A JSON merge patch over the agent's own config, as the API's `config`, with `${secret:NAME}` for a "
            "channel's token; `-` reads stdin.",
        ),
    ] = None,
    plan: Annotated[
        str | None, typer.Option(help="One of the settings' plans, or `none`.", rich_help_panel=_BUDGET)
    ] = None,
    day_tokens: Annotated[
        str | None, typer.Option(metavar=_MOST, help="Tokens in a day.", rich_help_panel=_BUDGET)
    ] = None,
    month_tokens: Annotated[
        str | None, typer.Option(metavar=_MOST, help="Tokens in a month.", rich_help_panel=_BUDGET)
    ] = None,
    day_usd: Annotated[
        str | None, typer.Option(metavar=_MOST, help="US dollars in a day.", rich_help_panel=_BUDGET)
    ] = None,
    month_usd: Annotated[
        str | None, typer.Option(metavar=_MOST, help="US dollars in a month.", rich_help_panel=_BUDGET)
    ] = None,
    calls_per_minute: Annotated[
        str | None, typer.Option(metavar=_MOST, help="Calls in a minute.", rich_help_panel=_BUDGET)
    ] = None,
    sleep_preset: Annotated[
        str | None,
        typer.Option(help="Windows by name: snappy, balanced, frugal, ocmt, or your own.", rich_help_panel=_SLEEP),
    ] = None,
    pause_after: Annotated[
        str | None, typer.Option(metavar=_IDLE, help="Idle so long, it is frozen.", rich_help_panel=_SLEEP)
    ] = None,
    page_after: Annotated[
        str | None, typer.Option(metavar=_IDLE, help="Idle so long, its memory goes to swap.", rich_help_panel=_SLEEP)
    ] = None,
    save_after: Annotated[
        str | None, typer.Option(metavar=_IDLE, help="Idle so long, it is saved to disk.", rich_help_panel=_SLEEP)
    ] = None,
    stop_after: Annotated[
        str | None, typer.Option(metavar=_IDLE, help="Idle so long, it is stopped.", rich_help_panel=_SLEEP)
    ] = None,
    schedule: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHEN",
            help="When it is kept awake, repeated, or `none`: `awake 08:00-18:00 Mon-Fri Europe/Berlin`.",
            rich_help_panel=_SLEEP,
        ),
    ] = None,
    missed_runs: Annotated[
        str | None,
        typer.Option(help="Runs of its own that were missed: run, skip or run-once.", rich_help_panel=_SLEEP),
    ] = None,
    despite_channels: Annotated[
        bool | None,
        typer.Option(
            "--despite-channels/--heed-channels",
            help="Sleep though it fetches messages from channels itself.",
            rich_help_panel=_SLEEP,
        ),
    ] = None,
    wake_deadline: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="How long a request waits for it to wake.", rich_help_panel=_SLEEP),
    ] = None,
    image: Annotated[
        str | None, typer.Option(help="Its image, on this host; zeptoclaw needs one, too.", rich_help_panel=_CUSTOM)
    ] = None,
    port: Annotated[int | None, typer.Option(help="The port it serves HTTP on.", rich_help_panel=_CUSTOM)] = None,
    health_path: Annotated[
        str | None, typer.Option(help="Answers 2xx when it is ready.", rich_help_panel=_CUSTOM)
    ] = None,
    command: Annotated[
        list[str] | None, typer.Option(help="Program and arguments, one each time.", rich_help_panel=_CUSTOM)
    ] = None,
    mount: Annotated[str | None, typer.Option(help="Where its folder is mounted.", rich_help_panel=_CUSTOM)] = None,
) -> dict[str, Any]:
    """What was said of the spec, and nothing of what wasn't."""
    budget = {"day_tokens": day_tokens, "month_tokens": month_tokens, "day_usd": day_usd, "month_usd": month_usd}
    rungs = {"pause": pause_after, "page": page_after, "save": save_after, "stop": stop_after}
    return _said(
        release=release,
        wanted=wanted,
        limits=_said(memory_mb=memory_mb, cpus=cpus, pids=pids)
        | _said(memory_reserve_mb=memory_reserve_mb, cpus_reserve=cpus_reserve),
        sleep=_said(preset=sleep_preset, missed_runs=missed_runs, despite_channels=despite_channels)
        | _said(wake_deadline_s=_finite(wake_deadline))
        | {f"{rung}_after_s": _seconds(rung, value) for rung, value in rungs.items() if value is not None}
        | ({} if schedule is None else {"schedule": [] if schedule == ["none"] else schedule}),
        env=_environment(env or [], env_file),
        hostnames=hostname,
        access=access,
        config=_object(agent_config),
        uses=_uses(uses, plan=plan, budget=budget, calls_per_minute=calls_per_minute),
        **_image(image, _said(port=port, health_path=health_path, command=command, mount=mount)),
    ) | _whole(
        public_paths=public_path,
        packs=pack,
        inbox=_NONE if inbox == _NONE else [_inbox_path(each) for each in inbox or ()],
    )


def _image(image: str | None, told: dict[str, Any]) -> dict[str, Any]:
    """An image alone is another one for what is known already; with how it serves it is the agent `custom`."""
    return {"custom": {**_said(image=image), **told}} if told else {"image": image}


def takes_spec(command: Callable[..., None]) -> Callable[..., None]:
    """Give `command` the options of `spec_body`; it gets the body that they amount to as `spec`."""
    own = inspect.signature(command, eval_str=True)
    options = inspect.signature(spec_body, eval_str=True).parameters

    @wraps(command)
    def expanded(**given: Any) -> None:
        spec = spec_body(**{name: given.pop(name) for name in options})
        command(**given, spec=spec)

    kept = [parameter for name, parameter in own.parameters.items() if name != "spec"]
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in (*kept, *options.values())]
    expanded.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    expanded.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return expanded


def _said(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value not in (None, [], {})}


def _whole(**lists: list[Any] | None) -> dict[str, Any]:
    """Lists that are replaced as a whole; `none` empties one."""
    return {name: [] if given == _NONE else given for name, given in lists.items() if given}


def _uses(
    file: Path | None, *, plan: str | None, budget: Mapping[str, str | None], calls_per_minute: str | None
) -> Any:
    """What the file says, with what the options say over it."""
    said = _object(file) or {}
    if plan is not None:
        said["plan"] = None if plan == "none" else plan
    if calls_per_minute is not None:
        said["calls_per_minute"] = _most("calls-per-minute", calls_per_minute)
    limits = {name: _most(name.replace("_", "-"), value) for name, value in budget.items() if value is not None}
    if limits:
        said["budget"] = {**(said.get("budget") or {}), **limits}
    return said


def _most(option: str, value: str) -> float | None:
    if value == "none":
        return None
    try:
        number = float(value) if option.endswith("-usd") else int(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise wrong_usage(f"--{option} takes a number or `none`, not {value!r}.")
    return number


def _inbox_path(text: str) -> dict[str, Any]:
    path, *parts = text.split(",")
    said: dict[str, Any] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if name not in ("id", "port") or not equals or name in said or (name == "port" and not value.isdecimal()):
            raise wrong_usage(f"--inbox takes PATH[,id=RULE][,port=PORT], not {text!r}.")
        said[name] = int(value) if name == "port" else value
    return {"path": path, **said}


def _finite(deadline: float | None) -> float | None:
    if deadline is not None and not math.isfinite(deadline):
        raise wrong_usage(f"--wake-deadline takes a number of seconds, not {deadline}.")
    return deadline


def _seconds(rung: str, value: str) -> int | None:
    if value == "never":
        return None
    if not value.isdecimal():
        raise wrong_usage(f"--{rung}-after takes a number of seconds or `never`, not {value!r}.")
    return int(value)


def _environment(pairs: list[str], file: Path | None) -> dict[str, str]:
    env = {}
    for pair in [*_lines(file), *pairs]:
        name, equals, value = pair.partition("=")
        if not equals:
            raise wrong_usage("Environment is given as KEY=VALUE; one of them has no `=`.")
        env[name] = value
    return env


def _object(file: Path | None) -> dict[str, Any] | None:
    if file is None:
        return None
    try:
        said = json.loads(sys.stdin.read() if str(file) == "-" else file.read_text())
    except (OSError, ValueError) as error:
        raise wrong_usage(f"{file} can't be read: {error}.") from error
    if not isinstance(said, dict):
        raise wrong_usage(f"{file} holds no JSON object.")
    return said


def _lines(file: Path | None) -> list[str]:
    if file is None:
        return []
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise wrong_usage(f"{file} can't be read: {error}.") from error
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
