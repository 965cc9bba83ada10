"""The exit door: a compose file and its `.env`, which run the tenant without Innkeeper.

Both the old `docker-compose` 1.29 and `docker compose` read it. The instance is the one that Innkeeper makes, hardening
included, with four differences: a name of its own, a port on loopback, a login of the agent's own, for the edge isn't
there, and a model that `.env` names, for the broker isn't there either. Agents look for these in their environment
before they turn to what their config says about edge and broker, and take an empty variable for none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from innkeeper.core.ports import Blueprint
from innkeeper.core.references import names_secret
from innkeeper.core.tenant import Limits

FIRST_PORT = 19100
MODEL = {f"INNKEEPER_{name}": name for name in ("MODEL_BASE_URL", "MODEL_API_KEY", "MODEL_NAME")}
"""What the agents read, and what it is called in `.env`."""
NO_EDGE = ("INNKEEPER_LOGIN=password", "INNKEEPER_ORIGIN=http://127.0.0.1:${PORT}")
"""For agents that take the edge's word for who comes, and answer browsers at its address only."""

_SETTING = re.compile(r"^(?:# ?)?(?P<name>[A-Z][A-Z0-9_]*)=")

_COMPOSE_HEAD = """\
# Runs {tenant} without Innkeeper; set a model in .env first, and stop the tenant in Innkeeper.
#   docker compose up -d        (or: docker-compose up -d)
# Written by Innkeeper at every change of the tenant: put your own settings into .env, which keeps them.
"""

_ENV = """\
# What compose.yaml takes from here. Innkeeper keeps the values that you set.

# The port on 127.0.0.1.
PORT={port}

# Any server that speaks OpenAI's chat completions. This machine is host.docker.internal.
# MODEL_BASE_URL=https://api.openai.com/v1
# MODEL_API_KEY=
# MODEL_NAME=
"""


def render_compose(blueprint: Blueprint, *, port: int) -> tuple[str, str]:
    """The texts of `compose.yaml` and `.env`; `port` is where the agent listens inside."""
    document = {"services": {"agent": service_of(blueprint, port)}}
    body = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    env = _ENV.format(port=FIRST_PORT + blueprint.slot)
    return _COMPOSE_HEAD.format(tenant=blueprint.tenant) + body, env


def keep_settings(env: str, before: str) -> str:
    """The new `.env` with the values, and the variables of their own, that somebody has set in the one before."""
    kept = {}
    for line in before.splitlines():
        if not line.startswith("#") and (setting := _SETTING.match(line)):
            kept[setting["name"]] = line
    lines = []
    for line in env.splitlines():
        setting = _SETTING.match(line)
        lines.append(kept.pop(setting["name"], line) if setting else line)
    return "\n".join([*lines, *kept.values()]) + "\n"


def as_env_file(variables: Mapping[str, str]) -> str:
    """Variables as an `env_file`, in quotes within which neither compose sees a substitution."""
    return "".join(f"{name}={_quoted(value)}\n" for name, value in variables.items())


def _quoted(value: str) -> str:
    if "'" in value and "$" not in value:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return "'" + value.replace("'", "\\'") + "'"


def without_secrets(env: str) -> str:
    """A `.env` whose credentials are empty, which agents take for none."""
    lines = []
    for line in env.splitlines():
        setting = None if line.startswith("#") else _SETTING.match(line)
        lines.append(f"{setting['name']}=" if setting and names_secret(setting["name"]) else line)
    return "\n".join(lines) + "\n"


def service_of(blueprint: Blueprint, port: int) -> dict[str, Any]:
    """The instance as a service of a compose file's."""
    service: dict[str, Any] = {
        "image": blueprint.image,
        # Whoever has that name in a registry isn't whom it was built by; what is named by its digest can be no other.
        **({} if "sha256:" in blueprint.image else {"pull_policy": "never"}),
        # An underscore can't be in a tenant's name: this is never the name of an instance of Innkeeper's.
        "container_name": f"unit_{blueprint.tenant}",
        "hostname": blueprint.hostname,
        "user": "1000:1000",
        "read_only": True,
        "tmpfs": ["/tmp:rw,nosuid,nodev,size=256m,mode=1777"],  # noqa: S108 - inside the container
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "pids_limit": blueprint.limits.pids,
        "mem_limit": f"{blueprint.limits.memory_mb}m",
        "cpus": blueprint.limits.cpus,
        **_reserves(blueprint.limits),
        "init": True,
        "restart": "unless-stopped",
        "stop_grace_period": "30s",
        "logging": {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}},
        "extra_hosts": ["host.docker.internal:host-gateway"],
        "volumes": [{"type": "bind", "source": "./persistence", "target": blueprint.mount}],
        "ports": [f"127.0.0.1:${{PORT}}:{port}"],
        "environment": _environment(blueprint),
    }
    if blueprint.command:
        program, *arguments = map(literal, blueprint.command)
        service |= {"entrypoint": [program], "command": arguments}
    return service


def _reserves(limits: Limits) -> dict[str, Any]:
    """As both composes take them without a swarm."""
    memory_mb, cpus = limits.memory_reserve_mb, limits.cpus_reserve
    return {
        **({"mem_reservation": f"{memory_mb}m"} if memory_mb else {}),
        **({"cpu_shares": max(2, round(cpus * 1024))} if cpus else {}),
    }


def _environment(blueprint: Blueprint) -> list[str]:
    own = [f"{name}={literal(value)}" for name, value in blueprint.env.items()]
    return [*own, *(f"{inside}=${{{outside}:-}}" for inside, outside in MODEL.items()), *NO_EDGE]


def literal(text: str) -> str:
    """The text, safe from compose's own substitution."""
    return text.replace("$", "$$")
