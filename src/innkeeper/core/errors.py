"""One tree of errors: each has a documented code, a sentence and a hint; none knows HTTP.

`kind` groups the codes by what the caller can do about them; the API maps kinds to statuses and the
CLI maps them to exit codes, each in one table.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class Kind(StrEnum):
    """What sort of trouble it is, for whoever must turn it into a status or an exit code."""

    INVALID = "invalid"  # the request can never succeed as it stands
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"  # it could succeed in another state of the world
    TOO_LARGE = "too_large"
    NOT_READY = "not_ready"  # try again soon
    UNAVAILABLE = "unavailable"  # something that we need doesn't answer
    FAILED = "failed"  # we tried, it went wrong


class Problem(Exception):
    """An error that a person will read: what is wrong (the message) and what to do (the hint)."""

    code: ClassVar[str] = "internal"
    kind: ClassVar[Kind] = Kind.FAILED
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = self.default_hint if hint is None else hint
        self.field = field


class Invalid(Problem):
    """The request is malformed or asks for something that can't be."""

    code = "invalid_request"
    kind = Kind.INVALID


class InvalidName(Invalid):
    """A tenant's name doesn't fit the pattern."""

    code = "invalid_name"
    default_hint = "Use 1 to 40 of a-z, 0-9 and '-', beginning and ending with a letter or digit."


class InvalidSpec(Invalid):
    """A part of a tenant's spec is out of bounds; `field` says which."""

    code = "invalid_spec"


class TraceInvalid(Invalid):
    """A trace of requests, to be simulated, doesn't hold; the message names the line."""

    code = "invalid_trace"


class UnknownAgent(Invalid):
    """No adapter has that name."""

    code = "unknown_agent"
    default_hint = "List the agents with `innkeeper agent list`."


class UnknownRelease(Invalid):
    """No image has been recorded for that agent and version."""

    code = "unknown_release"
    default_hint = "Build one with `innkeeper image build AGENT`, list them with `innkeeper image list`."


class ReleaseTooOld(Invalid):
    """The version lies below the agent's security floor."""

    code = "release_too_old"


class Unauthenticated(Problem):
    """No credential, or one that isn't valid."""

    code = "unauthenticated"
    kind = Kind.UNAUTHENTICATED
    default_hint = "Send `Authorization: Bearer TOKEN`."


class Forbidden(Problem):
    """The credential is good, but not for this."""

    code = "forbidden"
    kind = Kind.FORBIDDEN


class NotFound(Problem):
    """The thing named isn't there."""

    code = "not_found"
    kind = Kind.NOT_FOUND


class UnknownTenant(NotFound):
    """No tenant has that name."""

    code = "unknown_tenant"
    default_hint = "List the tenants with `innkeeper tenant list`."


class UnknownOperation(NotFound):
    """No operation has that id."""

    code = "unknown_operation"


class UnknownKey(NotFound):
    """The tenant has no API key of that id."""

    code = "unknown_key"
    default_hint = "List the keys with `innkeeper key list NAME`."


class UnknownMessage(NotFound):
    """The tenant's inbox has no message of that id."""

    code = "unknown_message"
    default_hint = "List the messages with `innkeeper inbox list NAME`."


class Conflict(Problem):
    """It can't be done in the present state."""

    code = "conflict"
    kind = Kind.CONFLICT


class TenantExists(Conflict):
    """A second create of the same name."""

    code = "tenant_exists"
    default_hint = "Choose another name, or change the tenant with PATCH or `innkeeper tenant update`."


class UnitExists(Conflict):
    """A folder of a former tenant of that name was kept; it may hold somebody else's data."""

    code = "unit_exists"
    default_hint = "Take it over with `adopt` (`--adopt`), or move it out of the data directory."


class HostnameTaken(Conflict):
    """Another tenant answers to that hostname already."""

    code = "hostname_taken"


class TenantLeaving(Conflict):
    """The tenant is being deleted."""

    code = "tenant_leaving"
    default_hint = "Wait for the delete to end; the name is free afterwards."


class IdempotencyMismatch(Invalid):
    """An Idempotency-Key came again with another request."""

    code = "idempotency_mismatch"
    default_hint = "Use a fresh Idempotency-Key for a new request."


class KeyMadeBefore(Conflict):
    """A request for a key came again with its Idempotency-Key; the secret was in the first answer only."""

    code = "key_made_before"
    default_hint = "If that answer is lost, revoke the key and make another with a fresh Idempotency-Key."


class MessageNotDead(Conflict):
    """Only a dead letter can be replayed: any other message is delivered already, or is going to be."""

    code = "message_not_dead"


class MessageUnderWay(Conflict):
    """The message is being delivered just now, which can't be called back."""

    code = "message_under_way"
    default_hint = "Look again when the attempt has ended."


class RungMissing(Conflict):
    """This host can't offer that tier of sleep."""

    code = "rung_missing"


class Superseded(Conflict):
    """What an operation was to reach isn't wanted any more."""

    code = "superseded"
    default_hint = "Nothing to do: a later request decides."


class StaleLease(Conflict):
    """Another control plane holds the tenant now; whoever raised this must drop what it did."""

    code = "stale_lease"
    default_hint = "Nothing to do: the other control plane goes on."


class TooLarge(Problem):
    """The body is larger than the limit."""

    code = "too_large"
    kind = Kind.TOO_LARGE


class InboxFull(Problem):
    """The tenant's inbox takes no more messages until some of them are delivered."""

    code = "inbox_full"
    kind = Kind.NOT_READY
    default_hint = "Send it again later. Operators: `innkeeper inbox list NAME` shows what waits, and for what."


class TenantNotReady(Problem):
    """The tenant didn't become ready within the deadline."""

    code = "tenant_not_ready"
    kind = Kind.NOT_READY
    default_hint = "Try again shortly; `innkeeper tenant show NAME` says what it waits for."


class TenantAsleep(Problem):
    """The tenant was put to sleep on purpose and doesn't wake by requests."""

    code = "tenant_asleep"
    kind = Kind.NOT_READY
    default_hint = "Wake it with `innkeeper tenant wake NAME`."


class AgentBusy(Problem):
    """The agent doesn't consent to being frozen now; it is asked again."""

    code = "agent_busy"
    kind = Kind.NOT_READY
    default_hint = "It goes to sleep by itself once it is idle; `--tier stop` ends it in order now."


class InUse(AgentBusy):
    """Somebody uses the tenant at this very moment."""


class NoCapacity(Problem):
    """The host has no memory left for another tenant that runs, and none of the sleepers could make room."""

    code = "no_capacity"
    kind = Kind.UNAVAILABLE
    default_hint = "Try again later; `innkeeper capacity` tells what limits this host."


class TenantFailed(Problem):
    """The tenant's instance can't run; its `error` says why."""

    code = "tenant_failed"
    kind = Kind.UNAVAILABLE
    default_hint = "Read `error` in `innkeeper tenant show NAME`, mend the cause, then `innkeeper tenant restart NAME`."


class RuntimeUnavailable(Problem):
    """Docker (or whichever runtime) doesn't answer."""

    code = "runtime_unavailable"
    kind = Kind.UNAVAILABLE
    default_hint = "Run `innkeeper doctor`; work goes on by itself when the runtime answers again."


class RuntimeFault(Problem):
    """The runtime answered, but refused or failed the action."""

    code = "runtime_fault"
    kind = Kind.FAILED


class ForeignInstance(Conflict):
    """Something that isn't ours has the name that we need; it is never touched."""

    code = "foreign_instance"
    default_hint = "Rename or remove it by hand, or choose another tenant name."


class ImageMissing(Problem):
    """The release's image isn't on this host."""

    code = "image_missing"
    kind = Kind.UNAVAILABLE
    default_hint = "Build it again with `innkeeper image build AGENT`."


class ImageBuildFailed(Problem):
    """An image could not be made."""

    code = "image_build_failed"
    kind = Kind.FAILED


class IsolationBroken(Problem):
    """The tenants' network doesn't isolate as it must, so nothing is started on it."""

    code = "isolation_broken"
    kind = Kind.UNAVAILABLE
    default_hint = "Run `innkeeper doctor`: it names the missing piece."


class UnitFault(Problem):
    """The tenant's folder could not be written, read or removed."""

    code = "unit_fault"
    kind = Kind.FAILED


class DiskFull(UnitFault):
    """The disk under the data directory is full."""

    code = "disk_full"
    kind = Kind.UNAVAILABLE
    default_hint = "Free some space; the operation goes on by itself."


class AgentConfigInvalid(Problem):
    """A config that we would have handed to an agent doesn't hold; it was not started with it."""

    code = "agent_config_invalid"
    kind = Kind.FAILED


class StoreUnavailable(Problem):
    """The database doesn't answer."""

    code = "store_unavailable"
    kind = Kind.UNAVAILABLE


class EdgeFault(Problem):
    """Caddy isn't there, or doesn't take its configuration."""

    code = "edge_fault"
    kind = Kind.UNAVAILABLE
    default_hint = "Run `innkeeper doctor`; see the log in the data directory's run/ folder."


class PortTaken(EdgeFault):
    """A port that we need belongs to another program."""

    code = "port_taken"
    default_hint = "Stop the other program, or choose another port in the settings."


class AlreadyRunning(Conflict):
    """Another control plane serves the same data directory."""

    code = "already_running"
    default_hint = "Stop it with `innkeeper serve --down`, or choose another INNKEEPER_DATA."


class StartFailed(Problem):
    """The control plane could not be started."""

    code = "start_failed"


class StopFailed(Problem):
    """The control plane doesn't end."""

    code = "stop_failed"


def documented() -> list[type[Problem]]:
    """Every error with a code of its own, by code, for the reference page."""
    seen: dict[str, type[Problem]] = {}
    queue: list[type[Problem]] = [Problem]
    while queue:
        cls = queue.pop()
        seen.setdefault(cls.code, cls)
        queue.extend(cls.__subclasses__())
    return [seen[code] for code in sorted(seen)]
