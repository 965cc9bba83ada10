"""Logs and metrics of the control plane: set up once, named once, with no secret in either.

Every log line is redacted after it was rendered, so that nothing gets past by its type or its depth. Metrics carry no
tenant's name, for ten thousand tenants shouldn't mean ten thousand series of each; but for one, the age of backups.
"""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import TextIO

import structlog
from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from structlog.typing import EventDict, Processor, WrappedLogger

from innkeeper.backup_ages import BackupAges
from innkeeper.core.backups import Overview
from innkeeper.core.denials import Denial
from innkeeper.core.events import (
    AlertRaised,
    BackupDone,
    CapacityShort,
    CertificateFailed,
    Event,
    MemoryMoved,
    OperationChanged,
    StepTaken,
    TenantWoken,
)
from innkeeper.core.redaction import hide as hide
from innkeeper.core.redaction import redact as redact
from innkeeper.core.tools import Outcome

HIDDEN_FOR_S = 86_400.0
"""How long a secret that was read from the vault stays hidden from logs, at the least, since it was read last."""

# --- logs -------------------------------------------------------------------------------------------------------------


class RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    """Renders a record, whoever logged it, and redacts the line as a whole."""

    def format(self, record: logging.LogRecord) -> str:
        """The finished line."""
        return redact(super().format(record))


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to a stream; a record that can't be written it doesn't quote, as logging would."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """One line, with nothing of the record but where it came from."""
        kind = sys.exc_info()[0]
        with suppress(OSError, ValueError):
            where, why = f"{record.module}:{record.lineno}", kind.__name__ if kind else "?"
            self.stream.write(f"a line of {record.name}'s ({where}) couldn't be written: {why}\n")


def set_up_logs(*, level: str = "info", form: str = "auto", stream: TextIO | None = None) -> None:
    """Send structlog's and the standard library's logs to `stream` (stderr), as JSON or for a person to read."""
    stream = stream or sys.stderr
    as_json = form == "json" or (form == "auto" and not stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=stream.isatty(), timestamp_key="at")
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = _Handler(stream)
    handler.setFormatter(
        RedactingFormatter(
            foreign_pre_chain=shared,
            processors=[_drop_internals, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for chatty in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(chatty).handlers = []
        logging.getLogger(chatty).propagate = True
    logging.captureWarnings(True)
    for chatty in ("httpx2", "httpcore2", "aiosqlite", "alembic", "mcp", "client", "sse_starlette"):
        logging.getLogger(chatty).setLevel(max(logging.getLogger().level, logging.WARNING))


def _drop_internals(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event.pop("color_message", None)  # uvicorn says everything twice
    return structlog.stdlib.ProcessorFormatter.remove_processors_meta(_logger, _method, event)


# --- metrics ----------------------------------------------------------------------------------------------------------

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series a counter, which nobody asks for
REGISTRY = CollectorRegistry()
for _collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
    REGISTRY.register(_collector)

_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(f"innkeeper_{name}", text, labels, registry=REGISTRY)


def _gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(f"innkeeper_{name}", text, labels, registry=REGISTRY)


def _seconds(name: str, text: str, *labels: str) -> Histogram:
    return Histogram(f"innkeeper_{name}_seconds", text, labels, registry=REGISTRY, buckets=_SECONDS)


info = _gauge("info", "Always 1; the label tells the version of the control plane.", "version")
tenants = _gauge("tenants", "Tenants by the state that was last seen of them.", "state")
operations = _counter("operations", "Operations that ended, by kind and how.", "kind", "status")

reconcile_steps = _counter("reconcile_steps", "Steps that the reconciler took, by step.", "step")
reconcile_failures = _counter("reconcile_failures", "Steps that went wrong, by step and error code.", "step", "code")
reconcile_step = _seconds("reconcile_step", "How long a step took.", "step")
queue_depth = _gauge("queue_depth", "Tenants that wait to be looked at by the reconciler.")
lease_losses = _counter("lease_losses", "Times that a tenant's lease went to another control plane during work on it.")
loop_restarts = _counter("loop_restarts", "Times that a background loop fell and was started again.", "loop")

wakes = _seconds("wake", "How long sleepers took to be ready again, by the rung that they came from.", "rung")
page_outs = _counter(
    "page_outs", "Times that memory went to swap (`done`) or couldn't (`skipped`), of `frozen` or `running` tenants.",
    "of", "outcome",
)  # fmt: skip
capacity_short = _counter("capacity_short", "Times that a tenant wasn't woken for want of memory.")
starts_waiting = _gauge("starts_waiting", "Tenants that wait for their turn to start.")
starts_under_way = _gauge("starts_under_way", "Tenants that are starting.")
zram_stored = _gauge("zram_stored_bytes", "What lies in the host's compressed swap, before compression.")
zram_memory = _gauge("zram_memory_bytes", "What that takes of the memory.")

gate_asks = _counter("gate_asks", "Requests that the gate decided on, by outcome.", "outcome")
severed = _counter(
    "severed", "Connections that were ended for what was revoked, by the side of the edge: client or tenant.", "side"
)
certificates = _gauge("certificates", "Hosts with TLS by their certificate: valid, expiring or failing.", "state")
certificate_failures = _counter(
    "certificate_failures", "Attempts to get or renew a certificate that were seen to fail."
)
caddy_up = _gauge("caddy_up", "Whether Caddy answers: 1 or 0.")

inbox_messages = _counter(
    "inbox_messages", "Webhooks that came to an inbox, by outcome: accepted, duplicate or full.", "outcome"
)
inbox_deliveries = _counter(
    "inbox_deliveries", "Attempts to deliver a message, by outcome: delivered, retried or dead.", "outcome"
)
inbox_waiting = _gauge("inbox_waiting", "Messages that are still to be delivered, those under way among them.")
inbox_dead = _gauge("inbox_dead", "Dead letters that are kept.")

broker_calls = _counter(
    "broker_calls",
    "Calls that providers answered, by provider (tenants' own are `own`) and whether it told their usage.",
    "provider",
    "usage",
)
broker_tokens = _counter("broker_tokens", "Tokens that the providers counted, by direction.", "provider", "direction")
broker_usd = _counter("broker_usd", "Money that calls cost by the price table, in US dollars.", "provider")
broker_unpriced = _counter(
    "broker_unpriced", "Calls of models that the price table doesn't have: its rule for those decided.", "provider"
)
broker_odd_usage = _counter(
    "broker_odd_usage", "Calls whose provider told a usage that can't be; it was estimated.", "provider"
)
broker_refusals = _counter(
    "broker_refusals",
    "Calls that weren't made, by why: budget_spent, budget_reserved, rate_limited, plan_missing, model_not_priced or "
    "store_unavailable.",
    "code",
)
broker_in_flight = _gauge("broker_in_flight", "Calls of models and tools that are under way.")
tool_calls = _counter(
    "tool_calls", "Calls of tools, by outcome: ok, error, refused, failed, timeout or abandoned.", "outcome"
)
tool_call = _seconds("tool_call", "How long tools took to answer.")

integration_refreshes = _counter(
    "integration_refreshes",
    "Refreshes of integrations' tokens, by outcome: done, failed or broken (for good).",
    "outcome",
)

egress_lookups = _counter(
    "egress_lookups",
    "Names that watched tenants asked for, by outcome: answered, refused, unreadable, failed or dropped.", "outcome",
)  # fmt: skip

backups = _counter("backups", "Backups that ended well, by how they came about: unchanged, shadow or plain.", "way")
backup_frozen = _seconds("backup_frozen", "How long tenants stood still for a backup.")
backup_seconds = _seconds("backup", "How long backups took, until they were verified and copied.")
backup_bytes = _counter("backup_bytes", "What backups added to the first target.")
backup_age = _gauge("backup_age_seconds", "The age of the oldest of the tenants' newest good backups. NaN: none.")
backup_age.set(math.nan)
backup_ages = BackupAges()
backups_late = _gauge("backups_late", "Tenants whose backup is late.")
backups_failing = _gauge("backups_failing", "Tenants whose last backup failed.")
backups_missing = _gauge("backups_missing", "Tenants that were never backed up.")
backup_control_age = _gauge("backup_control_age_seconds", "The age of the database's newest good backup. NaN: none.")
backup_control_age.set(math.nan)

access_denied = _counter(
    "access_denied", "Requests to the API that were denied, by reason: missing, credential, permission or sign_in.",
    "reason",
)  # fmt: skip

drills = _counter("drills", "Snapshots that were drilled, by outcome: proven, failed or untried.", "outcome")
drill_proof_age = _gauge("drill_proof_age_seconds", "How long ago a snapshot of anybody's was last proven. NaN: never.")
drill_proof_age.set(math.nan)
drill_proven_tenants = _gauge("drill_proven_tenants", "Tenants of whom a snapshot was ever proven.")

alerts = _counter("alerts", "What somebody has to look at, by code.", "code")

api_requests = _counter("api_requests", "Requests to the API, by route and status.", "method", "route", "status")
api_request = _seconds("api_request", "How long the API took to begin its answer.", "route")


def count_denial(denial: Denial) -> None:
    """Count one refusal; to be given to `Denials`."""
    access_denied.labels(reason=denial).inc()


def count_tool_call(outcome: Outcome, seconds: float) -> None:
    """Count one call; to be given to `ToolTrail`."""
    tool_calls.labels(outcome=outcome).inc()
    tool_call.observe(seconds)


def count_event(event: Event) -> None:
    """Count what the bus tells; to be given to `Bus.on_event`."""
    match event:
        case StepTaken(step=step, seconds=seconds, problem=problem):
            reconcile_steps.labels(step=step).inc()
            reconcile_step.labels(step=step).observe(seconds)
            if problem is not None:
                reconcile_failures.labels(step=step, code=problem).inc()
        case TenantWoken(rung=rung, seconds=seconds):
            wakes.labels(rung=rung).observe(seconds)
        case MemoryMoved(trimmed=trimmed, paged=paged):
            of = "running" if trimmed else "frozen"
            page_outs.labels(of=of, outcome="done" if paged.skipped is None else "skipped").inc()
        case CapacityShort():
            capacity_short.inc()
        case CertificateFailed():
            certificate_failures.inc()
        case BackupDone(way=way, seconds=seconds, frozen_s=frozen_s, bytes_added=bytes_added):
            backups.labels(way=way).inc()
            backup_seconds.observe(seconds)
            backup_bytes.inc(bytes_added)
            backup_ages.turn(event.tenant, seconds)
            if frozen_s is not None:
                backup_frozen.observe(frozen_s)
        case AlertRaised(code=code, says=says):
            alerts.labels(code=code).inc()
            structlog.get_logger("innkeeper.alerts").error("alert", tenant=event.tenant or None, code=code, says=says)
        case OperationChanged(operation=operation) if operation.status.ended:
            operations.labels(kind=operation.kind, status=operation.status).inc()
        case _:
            pass


def count_backups(overviews: Sequence[Overview], now: datetime) -> None:
    """Set the gauges of backups; to be given to `BackupLoops`."""
    tenants = [each for each in overviews if each.tenant]
    ages = [(now - each.standing.last_good).total_seconds() for each in tenants if each.standing.last_good is not None]
    backup_age.set(max(ages, default=math.nan))
    backup_ages.set(
        {each.tenant: (now - at).total_seconds() for each in tenants if (at := each.standing.last_good) is not None}
    )
    backups_late.set(sum(each.standing.late for each in tenants))
    backups_failing.set(sum(each.failures > 0 for each in tenants))
    backups_missing.set(len(tenants) - len(ages))
    for each in overviews:
        if not each.tenant and each.standing.last_good is not None:
            backup_control_age.set((now - each.standing.last_good).total_seconds())


def exposition() -> bytes:
    """Every metric, in Prometheus's text format."""
    return generate_latest(REGISTRY) + backup_ages.exposition().encode()
