"""What the core needs of an agent's adapter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from innkeeper.core.ladder import Rung
from innkeeper.core.openings import InboxPath
from innkeeper.core.tenant import Limits, Spec


@dataclass(frozen=True, kw_only=True)
class Seat:
    """What an agent is told about its place, to be written into its config."""

    tenant: str
    spec: Spec
    origins: tuple[str, ...]
    """Every public origin that it answers at, the canonical one first: `http://alice.localhost:8080`."""
    broker_url: str
    """`http://GATEWAY:8701`, without a path."""
    broker_token: str
    model: str
    """The model's id at the broker."""
    gateway_token: str
    edge_address: str
    """The address that requests through the edge come from."""
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What the spec says of the agent's own config, with secrets in the clear: a JSON merge patch (RFC 7396) over what
    is there, below what we set ourselves."""
    fenced: bool = False
    """Every channel of its own is to be off, and to be as the user had it as soon as this isn't set any more."""


@dataclass(frozen=True, kw_only=True)
class ConfigFile:
    """A file of ours in the tenant's persistence: its path there, and its bytes, 0600 and owned by 1000."""

    path: str
    content: bytes


@dataclass(frozen=True, kw_only=True)
class Probe:
    """How to ask an agent something over HTTP: whether it is ready, whether it may be frozen."""

    port: int
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 2.0
    json: Mapping[str, object] | None = None
    """What is posted; None: it is a GET."""


@dataclass(frozen=True, kw_only=True)
class Entrance:
    """How the edge talks to an agent on behalf of those whom the gate has let in."""

    port: int
    headers: Mapping[str, str]
    """Set on the way in, in place of whatever the client sent: the agent's own credential among them."""


@dataclass(frozen=True, kw_only=True)
class Consent:
    """An agent's answer to the question whether it may be put to sleep now."""

    objection: str | None = None
    """Why not; None: it may."""
    suspension: str | None = None
    """What to name in `resume`: from its answer on it takes no new work, even where it still objects."""
    until: datetime | None = None
    """When it takes work again by itself; asleep later than that, it may have begun something."""


class Agent(Protocol):
    """A kind of agent: pure functions that configure it and read its answers. Nothing here does I/O."""

    name: str
    title: str
    limits: Limits
    """The default, which works for a first real conversation."""
    floor_mb: int
    """Below so much memory it is known to die."""
    minimum_version: str | None
    """The security floor."""
    own_image: bool
    """Whether its operator brings its image, which can't be made here."""
    stop_grace_s: int
    start_timeout_s: int
    workspace: str
    """The folder within its persistence that packs are delivered to."""
    hopeless_exits: frozenset[int]
    """Exit codes that mean: starting again is no use."""

    def config_paths(self) -> Sequence[str]:
        """The files, relative to the persistence folder, that `render` writes."""
        ...

    def render(self, seat: Seat, existing: Mapping[str, bytes]) -> Sequence[ConfigFile]:
        """The agent's config files; `existing` holds those of `config_paths` that are there already.

        Keys of ours are set, and those of the seat's config; other keys of the user's are kept. What can't be parsed is
        kept aside under another name, as one of the files returned. The result is validated: AgentConfigInvalid says
        what doesn't hold. The files are to be written in this order.
        """
        ...

    def caches(self) -> Sequence[str]:
        """Folders in its persistence that hold nothing but what it makes again by itself; copies leave them out."""
        ...

    def keeps_secret(self, path: tuple[str, ...]) -> bool:
        """Whether it has to hold a secret itself at that place of its config, as a channel's token: nobody can put it
        on for the agent. `path` are the keys down to it."""
        ...

    def check_config(self, config: Mapping[str, Any]) -> None:
        """Raise InvalidSpec for what a tenant's own config can't say to it, before that is taken over."""
        ...

    def command(self, spec: Spec) -> tuple[str, ...]:
        """The program and its arguments; empty: the image's own."""
        ...

    def env(self, spec: Spec) -> Mapping[str, str]:
        """Environment that is no secret, beside the spec's own."""
        ...

    def fence(self, spec: Spec) -> Mapping[str, str]:
        """Environment that a fenced one has besides: it keeps channels and the agent's own schedule from starting,
        whatever becomes of the config meanwhile."""
        ...

    def mount(self, spec: Spec) -> str:
        """Where its persistence is mounted."""
        ...

    def probe(self, spec: Spec) -> Probe:
        """How to ask whether it is ready."""
        ...

    def is_ready(self, status: int, body: bytes) -> bool:
        """Whether the probe's answer says so: judged by the JSON body where it has one, not by the status alone."""
        ...

    def health_command(self, spec: Spec) -> Sequence[str]:
        """What tells within its container whether it lives, for where nobody asks it from outside; empty: nothing."""
        ...

    def entrance(self, spec: Spec, gateway_token: str) -> Entrance:
        """How the edge gets in."""
        ...

    def listens_to(self, existing: Mapping[str, bytes]) -> Sequence[str]:
        """The channels on which it fetches messages itself, by its config: asleep it would miss them."""
        ...

    def webhooks(self, existing: Mapping[str, bytes]) -> Sequence[InboxPath]:
        """Where it takes webhooks by its config: what comes there is kept for it while it is asleep."""
        ...

    def suspend(self, spec: Spec, gateway_token: str, rung: Rung) -> Probe | None:
        """How to ask for its consent to sleeping on that rung, after which it takes no new work; None: it can't be
        asked. Asked again it renews what it said."""
        ...

    def consent(self, status: int, body: bytes) -> Consent:
        """What it says, judged by its answer."""
        ...

    def next_run(self, spec: Spec, gateway_token: str) -> Probe | None:
        """How to ask when it next has work to do by itself; None: it can't be asked."""
        ...

    def run_at(self, status: int, body: bytes) -> datetime | None:
        """When that is, judged by its answer; None: never, or it doesn't say."""
        ...

    def jobs(self, spec: Spec, gateway_token: str) -> Probe | None:
        """How to ask for the jobs of its own scheduler; None: it has none, or can't be asked."""
        ...

    def missed(self, status: int, body: bytes, since: datetime, until: datetime) -> Mapping[str, int]:
        """How often each of those jobs, by its answer, was due in that time, both ends included; none of 0."""
        ...

    def jobs_at_rest(self, status: int, body: bytes, now: datetime) -> Mapping[str, bool]:
        """Of each of those jobs, by the same answer, whether it is neither due nor under way."""
        ...

    def run_job(self, spec: Spec, gateway_token: str, job: str, now: datetime) -> Probe | None:
        """How to have it run one of them now, though it isn't due; asked of those at rest only."""
        ...

    def resume(self, spec: Spec, gateway_token: str, suspension: str) -> Probe | None:
        """How to tell it that it may take work again; None: nothing has to be said."""
        ...

    def examination(self, spec: Spec) -> Sequence[str]:
        """A program in its image that looks through what it has kept, before it is started on a copy of that: ends with
        0 where all is whole, else tells what isn't. Empty: there is none."""
        ...

    def examined(self, output: bytes) -> int | None:
        """How many sessions that program found, by what it wrote; None where it doesn't say."""
        ...

    def sessions(self, spec: Spec, gateway_token: str) -> Probe | None:
        """How to ask for the sessions that it knows; None: it can't be asked."""
        ...

    def sessions_told(self, status: int, body: bytes) -> int | None:
        """How many those are, judged by its answer; None where it doesn't tell."""
        ...

    def chat_model(self, spec: Spec) -> str | None:
        """The `model` that its `/v1/chat/completions` wants; "": leave it out; None: it has no such endpoint."""
        ...
