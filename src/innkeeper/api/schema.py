"""The documents that go in and out, as they are described in OpenAPI."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from innkeeper.api.backup_documents import BackupDocument
from innkeeper.api.forms import Body as Body
from innkeeper.api.forms import Document as Document
from innkeeper.api.forms import ItemsOf as ItemsOf
from innkeeper.api.operation_schema import OperationDocument as OperationDocument
from innkeeper.api.operation_schema import OperationPage as OperationPage
from innkeeper.api.operation_schema import ProgressDocument as ProgressDocument
from innkeeper.api.operation_schema import TroubleDocument as TroubleDocument
from innkeeper.api.proof_document import ProofDocument
from innkeeper.api.uses_schema import UsesBody
from innkeeper.core.instance import State
from innkeeper.core.ladder import MissedRuns, Rung
from innkeeper.core.tenant import NAME, Access, Mode, Wanted

TenantName = Annotated[
    str,
    Field(
        description="The tenant's name: 1 to 40 of a-z, 0-9 and '-', beginning and ending with a letter or digit.",
        json_schema_extra={"pattern": f"^{NAME.pattern}$", "minLength": 1, "maxLength": 40},
        examples=["alice"],
    ),
]


class ProblemField(Document):
    """One field that doesn't hold."""

    field: str
    says: str


class ProblemDocument(Document):
    """An error (RFC 9457)."""

    type: str
    """A URN that names the kind of problem."""
    title: str
    status: int
    code: str
    """One of the codes in the error reference; stable."""
    detail: str
    """What is wrong, in a sentence."""
    hint: str | None = None
    """What to do about it."""
    field: str | None = None
    """The field of the request that is wrong."""
    errors: list[ProblemField] | None = None
    """All fields that are wrong."""
    request_id: str | None = None
    """Finds the request in the control plane's log."""


# --- tenants ----------------------------------------------------------------------------------------------------------


class LimitsBody(Body):
    """What an instance may use at most; what is left out keeps its value or takes the agent's default."""

    memory_mb: int | None = Field(default=None, examples=[2048])
    """Memory in MB; below the agent's floor it is refused."""
    cpus: float | None = Field(default=None, examples=[2.0])
    """CPUs, in parts of one."""
    pids: int | None = Field(default=None, examples=[512])
    """Processes and threads."""
    memory_reserve_mb: int | None = Field(default=None, examples=[32])
    """So much of its memory is taken back last when the host runs short; 0: none."""
    cpus_reserve: float | None = Field(default=None, examples=[0.05])
    """Its weight beside others when the processors are busy, in parts of one CPU; 0: as everybody without one has."""


class SleepBody(Body):
    """After how many idle seconds each rung of the ladder is taken, null to skip it; and what keeps or gets it up."""

    preset: str | None = Field(default=None, max_length=40, examples=["balanced"])
    """Windows by name: `snappy`, `balanced`, `frugal`, `ocmt`, or one that the settings add; those given beside it
    win."""
    pause_after_s: int | None = Field(default=None, examples=[300])
    """Frozen in memory."""
    page_after_s: int | None = Field(default=None, examples=[600])
    """Its memory moved out to swap."""
    save_after_s: int | None = Field(default=None, examples=[None])
    """Saved to disk."""
    stop_after_s: int | None = Field(default=None, examples=[14400])
    """Stopped."""
    check_every_s: int | None = Field(default=None, examples=[None])
    """Windows count in whole steps of so many seconds; null: as often as the sweep comes by."""
    schedule: list[Annotated[str, Field(max_length=200)]] | None = Field(
        default=None, max_length=100, examples=[["awake 08:00-18:00 Mon-Fri Europe/Berlin"]]
    )
    """When it is kept awake, and woken in time; replaced as a whole."""
    missed_runs: MissedRuns | None = Field(default=None, examples=["run-once"])
    """What becomes of runs of its own schedule that fell due while nobody could wake it: `run` makes up for each,
    `run-once` runs each job once, `skip` waits for the next."""
    despite_channels: bool | None = Field(default=None, examples=[False])
    """Sleep though it fetches messages from channels itself."""
    wake_deadline_s: float | None = Field(default=None, examples=[30])
    """How long a request waits for it to wake; null: as `INNKEEPER_WAKE_DEADLINE_S` says."""


class CustomBody(Body):
    """What the agent `custom` has to be told, since no adapter knows it."""

    image: str = Field(pattern=r"^[!-~]{1,255}$", examples=["my-agent:1"])
    """An image that is on this host: name, tag, digest or ID."""
    port: int = Field(ge=1, le=65535, examples=[8080])
    """The port it serves HTTP on."""
    health_path: str = Field(default="/", examples=["/health"])
    """A GET there answers 2xx when it is ready."""
    command: list[str] = Field(default_factory=list, max_length=100)
    """Program and arguments; empty: the image's own."""
    mount: str = Field(default="/data", examples=["/data"])
    """Where its folder is mounted."""


class InboxPathBody(Body):
    """A path whose webhooks are accepted for the tenant, kept, and delivered in order when it is up."""

    path: str = Field(max_length=400, examples=["/telegram-webhook"])
    """One exact path; only POSTs to it are messages."""
    id: str = Field(default="auto", max_length=700, examples=["json:update_id"])
    """Where a message's own id is found, so that one that comes twice is delivered once: `header:NAME`,
    `json:a.b`, `none`, or `auto`: the headers `Webhook-Id`, `Svix-Id`, `Idempotency-Key`, `X-GitHub-Delivery`,
    `X-Shopify-Event-Id`, `CE-Id`, `X-Event-Id`, else `update_id` or `event_id` of a JSON object, or `id` where it is
    a CloudEvent or a Stripe event."""
    port: int | None = Field(default=None, examples=[8787])
    """Where the agent listens for it; null: on its main port."""


class SpecBody(Body):
    """How a tenant should be, as far as a caller may say."""

    release: str | None = Field(default=None, max_length=255, examples=["2026.9.6"])
    """The agent's version, one of /v1/releases. Left out: the newest at creation, the same at changes."""
    image: str | None = Field(default=None, max_length=255, examples=["zeptoclaw:0.9.2"])
    """Instead of a release: an image on this host, for agents whose image can't be made here, and for `custom` another
    one."""
    mode: Mode | None = None
    """How it is housed."""
    limits: LimitsBody | None = None
    """What it may use."""
    sleep: SleepBody | None = None
    """When it falls asleep."""
    env: dict[str, str] | None = Field(default=None, examples=[{"TZ": "Europe/Berlin"}])
    """Environment of the agent, replaced as a whole. Not for secrets: whoever may ask Docker on the host sees it."""
    hostnames: list[str] | None = Field(default=None, examples=[["chat.example.com"]])
    """Host names of the tenant's own, beside NAME.DOMAIN; replaced as a whole."""
    access: Access | None = None
    """Who may pass the gate: `guarded` (the usual) signed-in members, keys and tokens; `key` keys and tokens alone;
    `open` lets everybody through to the agent's own login."""
    custom: CustomBody | None = None
    """For the agent `custom` only."""
    public_paths: list[str] | None = Field(default=None, max_length=100, examples=[["/hooks/verify", "/static/*"]])
    """Paths that anybody may reach without a key: exact ones, or `/static/*` for all that lies below; replaced as a
    whole. The agent sees such requests as a stranger's."""
    inbox: list[InboxPathBody] | None = Field(default=None, max_length=100)
    """Paths whose webhooks are kept and delivered in order; replaced as a whole."""
    config: dict[str, Any] | None = Field(
        default=None, examples=[{"channels": {"telegram": {"botToken": "${secret:TELEGRAM_TOKEN}"}}}]
    )
    """A JSON merge patch (RFC 7396) over the agent's own config file, replaced as a whole: null takes a key away there.
    A channel's token is a reference to one of the tenant's secrets; credentials in the clear are refused."""
    uses: UsesBody | None = None
    """What its agent may use: models, tools, names on the net, and how much of it."""
    packs: list[str] | None = Field(default=None, max_length=20, examples=[["core@3"]])
    """Core content of its own beside its agent's and its plan's: `core` in its newest version, `core@3` in that one,
    `image:/opt/core` from its agent's image; replaced as a whole, and delivered at the next start."""


class CreateTenant(SpecBody):
    """A new tenant."""

    name: TenantName
    agent: str = Field(max_length=80, examples=["openclaw"])
    """What it runs: one of /v1/agents."""
    wanted: Literal[Wanted.AUTO, Wanted.AWAKE, Wanted.ASLEEP] = Wanted.AUTO
    """`auto` sleeps when idle, `awake` never does, `asleep` stays down until told otherwise."""
    adopt: bool = False
    """Take over the folder that a former tenant of that name left."""


class ChangeTenant(SpecBody):
    """What is to be different; what is left out stays."""

    wanted: Literal[Wanted.AUTO, Wanted.AWAKE, Wanted.ASLEEP] | None = None
    """`auto` sleeps when idle, `awake` never does, `asleep` stays down until told otherwise."""


class SleepTenant(Body):
    """How deep to sleep."""

    tier: str = Field(
        default="pause",
        max_length=40,
        json_schema_extra={"enum": ["pause", "page", "save", "stop"]},
        examples=["pause"],
    )
    """`pause` freezes it in memory, `page` pushes its memory to swap as well, `save` writes it to disk, `stop` ends
    it; either way the next request wakes it. What this host can't do is refused with the reason."""


class LimitsDocument(Document):
    """What an instance may use at most."""

    memory_mb: int
    cpus: float
    pids: int
    memory_reserve_mb: int | None
    """What of its memory is taken back last."""
    cpus_reserve: float | None
    """Its weight when the processors are busy, in parts of one CPU."""


class HoldDocument(Document):
    """What keeps a tenant awake."""

    kind: str
    """What objects: `traffic`, `call`, `agent`, `cron`, `channel`, `processor` or `schedule`."""
    why: str
    since: datetime


class SkippedDocument(Document):
    """A rung of the tenant's ladder that this host can't offer."""

    rung: str
    why: str


class SleepDocument(Document):
    """After how many idle seconds each rung of the ladder is taken; null: never."""

    preset: str | None
    """Where the windows come from, as far as they weren't given one by one."""
    pause_after_s: int | None
    page_after_s: int | None
    save_after_s: int | None
    stop_after_s: int | None
    check_every_s: int | None
    schedule: list[str]
    missed_runs: MissedRuns
    despite_channels: bool
    wake_deadline_s: float | None
    rung: Rung
    """Where on the ladder it should be now."""
    paged: PagedDocument | None = None
    """How its memory was moved to swap, while it is frozen with it there."""
    trimmed: TrimmedDocument | None = None
    """While it runs."""
    holds: list[HoldDocument] = Field(default=[])
    """What keeps it from sleeping now."""
    skipped: list[SkippedDocument] = Field(default=[])
    """The rungs that it should take and that this host can't offer: the one above serves instead."""


class MemoryDocument(Document):
    """Memory of the agent's own (no caches), as the kernel counts it."""

    rss_mb: int
    """All of it, in RAM or in swap."""
    resident_mb: int
    """What of it takes up RAM."""
    swap_mb: int
    """What of it lies in swap, before compression."""
    zram_mb: int | None
    """What its part of the compressed swap takes of the RAM, by this host's measured ratio; null: there is none."""
    charged_mb: int
    """What its cgroup is charged with: `resident_mb`, page cache and the kernel's own."""


class PagedDocument(Document):
    """What the last page-out did, measured on the tenant's cgroup."""

    before_mb: int
    after_mb: int
    swapped_mb: int
    seconds: float


class TrimmedDocument(Document):
    """The last time that a running tenant's unused memory went to swap."""

    at: datetime
    resident_mb: int
    """What was left in RAM."""
    swapped_mb: int


class WakeDocument(Document):
    """What waking it takes, as measured; and where it stands if it waits to start."""

    usual_s: float | None
    """How long it usually takes to come up from where it is now; null: never measured, or it is up."""
    position: int | None = None
    """Its place among those that wait to start: 1 is next."""
    of: int | None = None
    """How many wait."""


class InboxPathDocument(Document):
    """A path whose webhooks are kept for the tenant."""

    path: str
    id: str
    port: int | None
    by: Literal["spec", "agent"]
    """Who says so: the tenant's spec, or its agent's own config as it was read last."""


class TenantDocument(Document):
    """A tenant: how it should be, and what was last seen of it."""

    name: TenantName
    agent: str
    release: str
    mode: Mode
    wanted: Wanted
    state: State
    url: str = Field(examples=["http://alice.localhost:8080/"])
    """Where people reach it."""
    hostnames: list[str]
    access: Access
    public_paths: list[str]
    inbox: list[InboxPathDocument]
    config: dict[str, Any]
    """What its spec says of its agent's own config, with references where secrets go."""
    uses: UsesBody
    packs: list[str]
    """Core content of its own; what it has of which stands in its `unit`."""
    limits: LimitsDocument
    sleep: SleepDocument
    idle_s: int | None
    """Seconds since somebody last used it; null: nobody has."""
    last_activity: datetime | None
    next_wake: datetime | None
    """When it must be up by its own plans; null: no plans known."""
    wake: WakeDocument
    memory: MemoryDocument | None
    """Null when not known: it has no instance, or nobody has looked yet (lists don't look)."""
    ready: bool
    error: str | None
    """Why it can't run, or what it is held up by."""
    closed: str | None
    """The operation that has its folder to itself: until it ends, nothing of it runs."""
    fenced: bool
    """Its channels are off until they are confirmed: after a restore to another name, or an import."""
    proven: ProofDocument | None
    """What drills last said of its snapshots; null: none was drilled yet."""
    backup: BackupDocument | None
    """How its backups stand; null: they are off."""
    revision: int
    created_at: datetime


class TenantPage(ItemsOf[TenantDocument]):
    """One page of tenants."""


class StatsDocument(Document):
    """What a tenant uses right now; null where there is nothing to measure."""

    tenant: str
    state: State
    measured_at: datetime
    memory: MemoryDocument | None
    charged_mb: int | None
    """Memory that counts against the limit, page cache included."""
    limit_mb: int
    cpu_s: float | None
    """CPU seconds since it started."""
    pids: int | None
    uptime_s: int | None
    idle_s: int | None
