"""The control plane as a process: run in the foreground, detached from the terminal, and stopped again."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO

import structlog
import uvicorn

from innkeeper.api.app import create_app
from innkeeper.core.errors import AlreadyRunning, PortTaken, StartFailed, StopFailed
from innkeeper.crashes import in_the_log, leave_no_core, tell_crashes
from innkeeper.frontage import edge_of
from innkeeper.loops.supervise import Supervisor
from innkeeper.settings import Settings
from innkeeper.strongroom import first_admin_token
from innkeeper.telemetry import set_up_logs
from innkeeper.wiring import House, build

log = structlog.get_logger("innkeeper.serve")

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
GRACE_S = 5
"""How long open API streams may take to end after a stop was asked for."""
_ERROR, _HINT = "error: ", "hint: "
_SAID = 300
"""So many characters of a line of its log are told."""


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    leave_no_core()
    settings.hide_secrets()
    set_up_logs(level=settings.log_level, form=settings.log_format)
    tell_crashes(in_the_log)
    prepare(settings)
    with _sole(settings), asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings))
    return 0


def detach(settings: Settings) -> int:
    """Start a control plane that outlives the terminal, and wait until it answers."""
    prepare(settings)
    if pid := running_pid(settings):
        _say(f"The control plane runs already (process {pid}).")
        return 0
    log_path = settings.run / "serve.log"
    with log_path.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "innkeeper", *_config_option(settings), "serve"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            close_fds=True,
        )
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            reason, hint = _last_words(log_path)
            raise StartFailed(f"The control plane ended right away{reason}", hint=hint)
        if (settings.run / "ready").exists() and running_pid(settings) == process.pid:
            _say(f"The control plane runs (process {process.pid}), its log is {log_path}.")
            return 0
        time.sleep(0.05)
    raise StartFailed(f"The control plane isn't ready after {START_TIMEOUT_S} s.", hint=f"See {log_path}.")


def stop(settings: Settings) -> int:
    """Stop the control plane, and Caddy with it; tenants run on."""
    pid = running_pid(settings)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while running_pid(settings) == pid:
            if time.monotonic() > deadline:
                raise StopFailed(f"Process {pid} doesn't end.", hint=f"See {settings.run / 'serve.log'}.")
            time.sleep(0.05)
    asyncio.run(_stop_edge(settings))
    _say("The control plane is stopped; the tenants' containers run on.")
    return 0


def prepare(settings: Settings) -> None:
    """Make the data directory, closed to everybody else, and the admin token, shown once to whoever is watching."""
    try:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings.run.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StartFailed(
            f"The data directory {settings.data} can't be made: {error.strerror}.",
            hint="Set INNKEEPER_DATA to a directory that you may write to.",
        ) from error
    if token := first_admin_token(settings):
        if sys.stdout.isatty():  # else it is a log that we write to
            _say(f"The admin token, shown this once: {token}")
        _say(f"The admin token is kept in {settings.data / 'admin-token'}, where the command line finds it.")


# --- one process for one data directory -------------------------------------------------------------------------------


@contextmanager
def _sole(settings: Settings) -> Iterator[None]:
    """Hold the lock that says: this process serves this data directory. The kernel drops it however we end."""
    with (settings.run / "serve.lock").open("a+") as file:
        if not _lock(file):
            pid = running_pid(settings)
            raise AlreadyRunning(f"Another control plane (process {pid}) serves {settings.data}.")
        _write_pid(file)
        ready = settings.run / "ready"
        ready.unlink(missing_ok=True)
        try:
            yield
        finally:
            ready.unlink(missing_ok=True)
            file.truncate(0)


def running_pid(settings: Settings) -> int | None:
    """The process that serves this data directory; None where nobody holds the lock."""
    try:
        with (settings.run / "serve.lock").open("r+") as file:
            if _lock(file):
                return None
            return int(file.read().strip() or 0) or None
    except (FileNotFoundError, ValueError):
        return None


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_pid(file: IO[str]) -> None:
    file.seek(0)
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()


# --- within the process -----------------------------------------------------------------------------------------------


async def _serve(settings: Settings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with running(settings):
        (settings.run / "ready").touch()
        log.info("ready", api=settings.api, domain=settings.domain, edge=settings.hosting.console_origin)
        await stopping.wait()
        log.info("stopping")


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[House]:
    """The whole control plane, for as long as the block runs."""
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(_listener(settings))  # first: a port that is taken ends it before it began
        house = await stack.enter_async_context(build(settings))
        supervisor = Supervisor(on_restart=house.on_loop_restart)
        house.start(supervisor)
        await stack.enter_async_context(supervisor.running())
        await stack.enter_async_context(_api(house, listener, *house.doors()))
        yield house


@asynccontextmanager
async def _api(house: House, *listeners: socket.socket) -> AsyncIterator[None]:
    config = uvicorn.Config(
        create_app(house.inn),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        timeout_graceful_shutdown=GRACE_S,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=list(listeners)), name="api")
    try:
        yield
    finally:
        house.inn.stopping.set()
        server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers: the process has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextmanager
def _listener(settings: Settings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.api_host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.api_host, settings.api_port))
        except OSError as error:
            raise PortTaken(
                f"The API can't listen on {settings.api}: {error.strerror}.",
                hint="Stop the other program, or set INNKEEPER_API.",
            ) from error
        listener.listen(1024)
        yield listener


async def _stop_edge(settings: Settings) -> None:
    await edge_of(settings).stop()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    import uvloop

    return uvloop.new_event_loop


def _config_option(settings: Settings) -> list[str]:
    return ["--config", str(settings.file)] if settings.file else []


def _last_words(path: Path) -> tuple[str, str]:
    """Why it ended and what there is to do, as its log ends: an error and a hint, or whatever it says last."""
    lines = path.read_text(errors="replace").strip().splitlines()
    said = [line[:_SAID] for line in lines if line.startswith(_ERROR)]
    if said and lines[-1].startswith((_ERROR, _HINT)):
        hint = lines[-1][:_SAID].removeprefix(_HINT) if lines[-1].startswith(_HINT) else ""
        return f": {said[-1].removeprefix(_ERROR)}", f"{hint} (more in {path})".strip()
    return ".", f"{lines[-1][:_SAID]} (more in {path})" if lines else f"See {path}."


def _say(sentence: str) -> None:
    print(sentence, flush=True)  # noqa: T201 - what these commands answer
