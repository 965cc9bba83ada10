"""docs/reference/metrics.md: every metric of ours."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from innkeeper import backup_ages, telemetry
from innkeeper.cli.reference.markdown import table

_HEAD = """# Metrics

At `/metrics`, in Prometheus's text format. Open to requests from the machine itself, where the API listens unless told
otherwise; from elsewhere it needs the admin token. Only `innkeeper_tenant_backup_age_seconds` carries tenants' names.
Beside these there are the usual `process_*` and `python_*`.
"""
Metric = Counter | Gauge | Histogram


def render() -> str:
    """The page."""
    return f"{_HEAD}\n" + table(
        ("metric", "type", "labels", "what it says"),
        (
            (f"`{name}`", kind, ", ".join(f"`{label}`" for label in labels), text)
            for name, kind, labels, text in sorted(metrics())
        ),
    )


def metrics() -> list[tuple[str, str, tuple[str, ...], str]]:
    """Name, type, labels and help text of each."""
    return [
        *(_described(value) for value in vars(telemetry).values() if isinstance(value, Metric)),
        (backup_ages.NAME, "gauge", (backup_ages.LABEL,), backup_ages.TEXT),
    ]


def _described(metric: Metric) -> tuple[str, str, tuple[str, ...], str]:
    described = next(iter(metric.describe()))
    suffix = "_total" if described.type == "counter" else ""
    return described.name + suffix, described.type, tuple(metric._labelnames), described.documentation
