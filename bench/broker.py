"""Model calls through the broker: what it adds to the first word and to the whole, beside the provider itself."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path

import yaml

from bench.gate import FIRST_ADDRESS
from bench.plane import full_house
from bench.report import Area, Floor, Judged, Row, row
from bench.report import Target as Bound
from bench.rivals import Unavailable, running
from bench.samples import Samples, percentile, samples
from bench.seed import id_of
from bench.streams import Caller, Target, Timed, streams
from innkeeper.keyring import Keyring
from tests.support.serving import free_port

AT_ONCE = (1, 10, 100)
TENANTS = 4
"""Among whom the streams are shared: one alone may not have so many."""
ADDS_MS = {50: 2.0, 95: 8.0, 99: 13.0}
"""What LiteLLM states for itself: https://docs.litellm.ai/docs/benchmarks."""
LITELLM = "INNKEEPER_BENCH_LITELLM"
"""The variable that names a LiteLLM's program; it is too large to be installed for a measurement in passing."""


async def measure(*, quick: bool) -> Area:
    """The same streams straight from the provider, through the broker, and through LiteLLM where there is one."""
    rounds, rows, missing = 2 if quick else 5, list[Row](), list[str]()
    async with AsyncExitStack() as stack:
        provider = Target(name="the provider itself", host="127.0.0.1", port=free_port())
        command = [sys.executable, "-m", "bench.model_provider", provider.host, str(provider.port)]
        await stack.enter_async_context(running(command, provider.host, provider.port))
        targets = [provider, await stack.enter_async_context(_broker(provider))]
        try:
            targets.append(await stack.enter_async_context(_litellm(provider)))
        except Unavailable as why:
            missing.append(str(why))
        for at_once in AT_ONCE:
            each = max(2, 30 // at_once)
            found: dict[str, list[Timed]] = {target.name: [] for target in targets}
            for _ in range(rounds):
                for target in targets:  # in turn, so that what else the machine does meets all of them
                    found[target.name] += await streams(target, at_once=at_once, each=each)
            for target in targets[1:]:
                rows += _rows(target.name, at_once, found[target.name], found[provider.name])
    return Area(
        name="broker",
        how="Chat completions of 20 words, one every 20 ms, all on this host: so many streams at once, begun at times "
        "of their own; each percentile beside the same of the provider itself.",
        rows=rows,
        missing=missing,
    )


def _rows(name: str, at_once: int, found: Sequence[Timed], floor: Sequence[Timed]) -> Iterable[Row]:
    parts: dict[str, Callable[[Timed], float]] = {
        "first word": lambda timed: timed.first_ms,
        "whole stream": lambda timed: timed.total_ms,
    }
    for part, of in parts.items():
        ours, theirs = samples(map(of, found)), samples(map(of, floor))
        for percent, most in ADDS_MS.items():
            yield row(
                f"{name}: {part}, {at_once} at once, p{percent}",
                Samples(values=(percentile(ours.values, percent),)),
                "ms",
                floor=Floor(what="direct", value=percentile(theirs.values, percent)),
                target=Bound(judged=Judged.EXCESS, at_most=most),
            )


@asynccontextmanager
async def _broker(provider: Target) -> AsyncIterator[Target]:
    gateway = f"{FIRST_ADDRESS.rpartition('.')[0]}.1"
    async with full_house(TENANTS) as house:
        house.env |= {
            "INNKEEPER_BROKER_PROVIDER": "openai",
            "INNKEEPER_OPENAI_BASE_URL": f"http://{provider.host}:{provider.port}/v1",
            "OPENAI_API_KEY": "sk-bench-0123456789",
        }
        await house.start()
        keyring, port = Keyring.open(house.data), int(house.env["INNKEEPER_BROKER_PORT"])
        first = IPv4Address(FIRST_ADDRESS)
        callers = [Caller(token=keyring.broker_token(id_of(n), 1), address=str(first + n)) for n in range(TENANTS)]
        target = Target(name="the broker", host=gateway, port=port, callers=callers)
        await _listens(target)
        yield target


async def _listens(target: Target) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection(target.host, target.port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


@asynccontextmanager
async def _litellm(provider: Target) -> AsyncIterator[Target]:
    program = os.environ.get(LITELLM)
    if not program:
        raise Unavailable(f"LiteLLM: name its program in {LITELLM} (`pip install 'litellm[proxy]'`).")
    port, key = free_port(), "sk-bench-litellm"
    params = {"model": "openai/bench", "api_base": f"http://{provider.host}:{provider.port}/v1", "api_key": "sk-none"}
    config = {
        "model_list": [{"model_name": "bench", "litellm_params": params}],
        "general_settings": {"master_key": key},
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(yaml.safe_dump(config))
        command = [program, "--config", str(file), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
        env = {**os.environ, "PATH": f"{Path(program).parent}:{os.environ.get('PATH', '')}", "LITELLM_LOG": "ERROR"}
        async with running(command, "127.0.0.1", port, env=env, within_s=120):
            yield Target(name="LiteLLM", host="127.0.0.1", port=port, callers=[Caller(token=key)])
