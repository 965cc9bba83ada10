"""The exit door: a compose file and its `.env`, which run the tenant without Innkeeper.

Both the old `docker-compose` 1.29 and `docker compose` read it. The instance is the one that Innkeeper makes, hardening
included, with four differences: a name of its own, a port on loopback, a login of the agent's own, for the edge isn't
there, and a model that `.env` names, for the broker isn't there either. Agents look for these in their environment
before they turn to what their config says about edge and broker, and take an empty variable for none.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from innkeeper.core.ports import Blueprint
from innkeeper.core.references import names_secret

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
    document = {"services": {"agent": _service(blueprint, port)}}
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


def without_secrets(env: str) -> str:
    """A `.env` whose credentials are empty, which agents take for none."""
    lines = []
    for line in env.splitlines():
        setting = None if line.startswith("#") else _SETTING.match(line)
        lines.append(f"{setting['name']}=" if setting and names_secret(setting["name"]) else line)
    return "\n".join(lines) + "\n"


def _service(blueprint: Blueprint, port: int) -> dict[str, Any]:
    service: dict[str, Any] = {
        "image": blueprint.image,
        **({} if blueprint.image.startswith("sha256:") else {"pull_policy": "never"}),
        # An underscore can't be in a tenant's name: this is never the name of an instance of Innkeeper's.
        "container_name": f"unit_{blueprint.tenant}",
        "hostname": blueprint.tenant,
        "user": "1000:1000",
        "read_only": True,
        "tmpfs": ["/tmp:rw,nosuid,nodev,size=256m,mode=1777"],  # noqa: S108 - inside the container
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "pids_limit": blueprint.limits.pids,
        "mem_limit": f"{blueprint.limits.memory_mb}m",
        "cpus": blueprint.limits.cpus,
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
        program, *arguments = map(_literal, blueprint.command)
        service |= {"entrypoint": [program], "command": arguments}
    return service


def _environment(blueprint: Blueprint) -> list[str]:
    own = [f"{name}={_literal(value)}" for name, value in blueprint.env.items()]
    return [*own, *(f"{inside}=${{{outside}:-}}" for inside, outside in MODEL.items()), *NO_EDGE]


def _literal(text: str) -> str:
    """The text, safe from compose's own substitution."""
    return text.replace("$", "$$")
