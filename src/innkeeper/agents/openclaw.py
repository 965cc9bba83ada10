"""OpenClaw: a whole gateway with a web interface, channels and its own scheduler; heavy."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from innkeeper.agents import examinations
from innkeeper.agents.channels import is_channel_secret
from innkeeper.agents.fence import channel_fence
from innkeeper.agents.jsonfile import said, shared_json
from innkeeper.agents.openclaw_config import (
    CONFIG_PATH,
    DEFAULTS,
    FENCE_PATH,
    NO_CHANNELS,
    PORT,
    PROTO_HEADER,
    USER_HEADER,
    OpenClawConfig,
    ours,
)
from innkeeper.agents.openclaw_cron import at_rest, times_due
from innkeeper.agents.openclaw_telegram import accounts, telegram_webhooks
from innkeeper.core.ladder import Rung
from innkeeper.core.openings import InboxPath
from innkeeper.core.ports import ConfigFile, Consent, Entrance, Probe, Seat
from innkeeper.core.tenant import Access, Limits, Spec

_ELSEWHERE = "192.0.2.1"
"""An address that nobody has. OpenClaw refuses what comes through its proxy from the loopback or from nowhere."""

_OURSELVES = "innkeeper"
"""The user that we are to it: where the gate names nobody, and for what we ask it."""
_LAST_MS = 253_402_300_800_000
"""The year 10000, where Python's dates end."""
_SUSPEND_ID = "innkeeper"
"""Names our requests to suspend, so that the next one of ours is the same."""
_RPC_TIMEOUT_S = 10.0
"""It answers in ten milliseconds, but one that has just come back from a swap on disk may need seconds."""

_CACHES = (".openclaw/cache/control-ui-assets", ".cache/node-compile-cache")

_ALIVE = (
    f"fetch('http://127.0.0.1:{PORT}/startupz').then(async answer => process.exit((await answer.json()).ok ? 0 : 1))"
    ".catch(() => process.exit(1))"
)


class OpenClaw:
    """How OpenClaw is configured, started, asked and entered."""

    name = "openclaw"
    title = "OpenClaw"
    limits = Limits(memory_mb=2048, cpus=2.0)
    floor_mb = 1280  # with 1 GB it starts, and is killed in its first conversation
    minimum_version: str | None = "2026.9.6"
    own_image = False
    stop_grace_s = 30  # idle it ends within 1.5 s; work in flight may hold it for minutes
    start_timeout_s = 180  # 6 to 10 s of two cores; four times that on a busy host with half a core
    workspace = "workspace"
    hopeless_exits = frozenset({78})  # its "config or state is wrong"

    def config_paths(self) -> Sequence[str]:
        """The one file that it reads, and what a fence keeps."""
        return (CONFIG_PATH, FENCE_PATH)

    def render(self, seat: Seat, existing: Mapping[str, bytes]) -> Sequence[ConfigFile]:
        """openclaw.json with our keys set and the user's kept."""
        theirs, kept = said(CONFIG_PATH, existing, seat.config), existing.get(FENCE_PATH)
        fence = channel_fence(theirs, seat.config, kept, path=FENCE_PATH, up=seat.fenced, no_channels=NO_CHANNELS)
        config = shared_json(
            CONFIG_PATH,
            existing,
            ours=lambda below: fence.laid_on(ours(seat, below)),
            defaults=DEFAULTS,
            schema=OpenClawConfig,
            config=seat.config,
        )
        return [*fence.before, *config, *fence.after]

    def caches(self) -> Sequence[str]:
        """The assets of its web interface, 54 MB, and what Node has compiled where an operator has it kept."""
        return _CACHES

    def check_config(self, config: Mapping[str, Any]) -> None:
        """Whatever it says."""

    def keeps_secret(self, path: tuple[str, ...]) -> bool:
        """A channel's own credentials, for all its accounts or for one."""
        return is_channel_secret(path)

    def command(self, spec: Spec) -> tuple[str, ...]:
        """What OpenClaw's own fleet runs in the official image; ours has the same layout."""
        return ("node", "dist/index.js", "gateway", "--bind", "lan", "--port", str(PORT))

    def env(self, spec: Spec) -> Mapping[str, str]:
        """Where its state lies, and that it neither updates nor announces itself."""
        return {
            "HOME": "/data",
            "OPENCLAW_HOME": "/data",
            "OPENCLAW_STATE_DIR": "/data/.openclaw",
            "OPENCLAW_CONFIG_PATH": f"/data/{CONFIG_PATH}",
            "OPENCLAW_WORKSPACE_DIR": "/data/workspace",
            "OPENCLAW_DISABLE_BONJOUR": "1",
            "OPENCLAW_NO_AUTO_UPDATE": "1",
            # A config change that needs a restart ends the process with 0, for us to start it again.
            "OPENCLAW_SUPERVISOR_MODE": "external",
            # With a token in its environment, one of the spec's, it doesn't start where the edge says who has come.
            **({} if spec.access is Access.OPEN else {"OPENCLAW_GATEWAY_TOKEN": ""}),
        }

    def fence(self, spec: Spec) -> Mapping[str, str]:
        """Its own switches, with which it starts no channel, no scheduler and no watcher of a mailbox."""
        return {"OPENCLAW_SKIP_CHANNELS": "1", "OPENCLAW_SKIP_CRON": "1", "OPENCLAW_SKIP_GMAIL_WATCHER": "1"}

    def mount(self, spec: Spec) -> str:
        """The home and state folder of the image."""
        return "/data"

    def probe(self, spec: Spec) -> Probe:
        """Start-up done and not draining; /readyz would also hang on a channel that the user has set up wrongly."""
        return Probe(port=PORT, path="/startupz", headers={"X-Forwarded-For": _ELSEWHERE})

    def is_ready(self, status: int, body: bytes) -> bool:
        """Judged by the body: the web interface answers 200 on paths that it doesn't know."""
        answer = _json_object(body)
        return status == 200 and answer.get("ok") is True and answer.get("status") == "started"

    def health_command(self, spec: Spec) -> Sequence[str]:
        """Node is what its image has."""
        return ("node", "-e", _ALIVE)

    def entrance(self, spec: Spec, gateway_token: str) -> Entrance:
        """By the user whom the gate has let in, unless everybody may come: then with its token."""
        return Entrance(port=PORT, headers=_credentials(spec, gateway_token))

    def listens_to(self, existing: Mapping[str, bytes]) -> Sequence[str]:
        """Every channel that is set up and not switched off, but for those that are called by webhook."""
        channels = _json_object(existing.get(CONFIG_PATH, b"")).get("channels")
        if not isinstance(channels, dict):
            return ()
        return sorted(name for name, channel in channels.items() if name not in NO_CHANNELS and _fetches(channel))

    def webhooks(self, existing: Mapping[str, bytes]) -> Sequence[InboxPath]:
        """Telegram's, where it is set up for them; for its other channels the operator says."""
        return telegram_webhooks(_json_object(existing.get(CONFIG_PATH, b"")))

    def suspend(self, spec: Spec, gateway_token: str, rung: Rung) -> Probe | None:
        """Its own call for hosts that put it to sleep; asked again with the same id it renews its two minutes' lease.

        Frozen it keeps its work as it is; to be stopped it lets what runs come to an end, and takes no more.
        """
        if rung in (Rung.PAUSED, Rung.PAGED):
            how: dict[str, object] = {"terminalPolicy": "preserve"}
        else:
            how = {"terminalPolicy": "terminate", "drain": True}
        return _rpc(spec, gateway_token, "gateway.suspend.prepare", requestId=f"{_SUSPEND_ID}-{rung}", **how)

    def consent(self, status: int, body: bytes) -> Consent:
        """`ready` is a yes; anything else a no, with what it is busy with as far as it says so."""
        answer = _json_object(body)
        payload = answer.get("payload")
        if status == 200 and isinstance(payload, dict):
            named = payload.get("suspensionId")
            suspension = named if isinstance(named, str) else None
            if payload.get("status") == "ready":
                return Consent(suspension=suspension, until=_moment(payload.get("expiresAtMs")))
            return Consent(objection=_what_blocks(payload), suspension=suspension)
        if status == 404:
            return Consent()  # the owner has taken the plugin out that answers this
        error = answer.get("error")
        said = error.get("message") if isinstance(error, dict) else None
        return Consent(objection=f"its gateway doesn't say whether it is busy: {said or f'status {status}'}")

    def next_run(self, spec: Spec, gateway_token: str) -> Probe | None:
        """Its scheduler knows the next run of all its jobs."""
        return _rpc(spec, gateway_token, "cron.status")

    def run_at(self, status: int, body: bytes) -> datetime | None:
        """Milliseconds since 1970; nothing where the scheduler is off or has no job."""
        payload = _json_object(body).get("payload")
        return _moment(payload.get("nextWakeAtMs")) if isinstance(payload, dict) and payload.get("enabled") else None

    def jobs(self, spec: Spec, gateway_token: str) -> Probe | None:
        """Those of its scheduler."""
        return _rpc(spec, gateway_token, "cron.list", limit=200, compact=True)

    def missed(self, status: int, body: bytes, since: datetime, until: datetime) -> Mapping[str, int]:
        """By their schedules; a job for one moment it makes up for by itself."""
        return times_due(_jobs(body), since, until)

    def jobs_at_rest(self, status: int, body: bytes, now: datetime) -> Mapping[str, bool]:
        """By the moment for which its scheduler has each."""
        return at_rest(_jobs(body), now)

    def run_job(self, spec: Spec, gateway_token: str, job: str, now: datetime) -> Probe | None:
        """Have its scheduler find it due: it looks every two seconds, and then goes on by the job's own schedule.

        Not by `cron.run`: that begins after its answer, with the authority of a request that has ended by then, and
        2026.9.6 notes each such run as failed ("client authority closed before dispatching").
        """
        due = {"state": {"nextRunAtMs": int(now.timestamp() * 1000)}}
        return _rpc(spec, gateway_token, "cron.update", id=job, patch=due)

    def resume(self, spec: Spec, gateway_token: str, suspension: str) -> Probe | None:
        """Ends the suspension of that id; one whose lease is over is no error."""
        return _rpc(spec, gateway_token, "gateway.suspend.resume", suspensionId=suspension)

    def examination(self, spec: Spec) -> Sequence[str]:
        """Every database, with SQLite's own check, which names the broken one: OpenClaw only ends, with 78."""
        return examinations.OPENCLAW

    def examined(self, output: bytes) -> int | None:
        """Those in the agents' databases."""
        return examinations.sessions_found(output)

    def sessions(self, spec: Spec, gateway_token: str) -> Probe | None:
        """By the tool that its agents have for it: the admin's calls have none."""
        asked = _rpc(spec, gateway_token, "")
        return replace(asked, path="/tools/invoke", json={"tool": "sessions_list", "args": {}})

    def sessions_told(self, status: int, body: bytes) -> int | None:
        """Its count goes up to a hundred. Where its owner has forbidden that tool, it doesn't tell."""
        result = _json_object(body).get("result")
        details = result.get("details") if isinstance(result, dict) else None
        count = details.get("count") if isinstance(details, dict) else None
        return count if status == 200 and isinstance(count, int) else None

    def chat_model(self, spec: Spec) -> str | None:
        """Its default agent."""
        return "openclaw"


def _fetches(channel: object) -> bool:
    return any(account.get("enabled") is not False and not account.get("webhookUrl") for account in accounts(channel))


def _credentials(spec: Spec, gateway_token: str) -> dict[str, str]:
    """A gateway that goes by the user doesn't look at the token; one that was started by an older Innkeeper does."""
    token = {"Authorization": f"Bearer {gateway_token}"}
    return token if spec.access is Access.OPEN else {**token, USER_HEADER: _OURSELVES}


def _rpc(spec: Spec, gateway_token: str, method: str, **params: object) -> Probe:
    return Probe(
        port=PORT,
        path="/api/v1/admin/rpc",
        headers={
            **_credentials(spec, gateway_token),
            PROTO_HEADER: "http",
            "X-Forwarded-For": _ELSEWHERE,
            "X-OpenClaw-Scopes": "operator.admin",
        },
        timeout_s=_RPC_TIMEOUT_S,
        json={"method": method, "params": params},
    )


def _jobs(body: bytes) -> Sequence[object]:
    payload = _json_object(body).get("payload")
    jobs = payload.get("jobs") if isinstance(payload, dict) else None
    return jobs if isinstance(jobs, list) else []


def _moment(ms: object) -> datetime | None:
    if not isinstance(ms, int | float) or not 0 < ms < _LAST_MS:
        return None
    return datetime.fromtimestamp(ms / 1000, UTC)


def _what_blocks(payload: Mapping[str, Any]) -> str:
    """Its blockers in a few words: `startup:sidecars, chat`."""
    blockers = payload.get("blockers")
    names = [_blocker(each) for each in blockers[:5]] if isinstance(blockers, list) else []
    return ", ".join(name for name in names if name) or str(payload.get("reason") or payload.get("status") or "busy")


def _blocker(each: object) -> str:
    if isinstance(each, dict):
        each = each.get("message") or each.get("kind") or each.get("id") or ""
    return str(each)[:100]


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
