"""wrk, as a measuring instrument: one target, so many connections, so many seconds."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.processes import cpu_s


@dataclass(frozen=True, kw_only=True)
class Shot:
    """What one run of wrk saw."""

    p50_ms: float
    p95_ms: float
    per_second: float
    cpu_us: float
    """Processor time of all processes of the subject, per request."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is shot at."""

    name: str
    url: str
    pids: Sequence[int]
    """The processes that it consists of."""
    headers: Mapping[str, str] = field(default_factory=dict)


async def shoot(subject: Subject, *, connections: int, seconds: int) -> Shot:
    """Load the subject from one thread; every answer has to be a 2xx."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:  # 0600: the headers hold a key
        script.write(_script(subject.headers))
        script.flush()
        used_s = sum(map(cpu_s, subject.pids))
        process = await asyncio.create_subprocess_exec(
            "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script.name, subject.url,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, _ = await process.communicate()
        used_s = sum(map(cpu_s, subject.pids)) - used_s
    seen = json.loads(output.decode().splitlines()[-1])
    assert seen["requests"] > 0, f"{subject.name}: {seen}"
    assert seen["errors"] == 0, f"{subject.name}: {seen}"
    return Shot(
        p50_ms=seen["p50_us"] / 1000,
        p95_ms=seen["p95_us"] / 1000,
        per_second=seen["requests"] / (seen["duration_us"] / 1e6),
        cpu_us=used_s * 1e6 / seen["requests"],
    )


def _script(headers: Mapping[str, str]) -> str:
    lines = [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items()]
    return "\n".join([*lines, _DONE])


_DONE = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\n{"requests": %d, "duration_us": %d, "p50_us": %d, "p95_us": %d, "errors": %d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(95),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""
