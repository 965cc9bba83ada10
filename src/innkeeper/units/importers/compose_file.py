"""Reading somebody's compose file: what it says of the agent's service, and what in it is never taken over.

Nothing of it is run. It is read for what it tells of the tenant, and what would have given the instance more of the
host than a tenant gets is refused by name, so that nobody believes it came along.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import yaml

FILES = ("docker-compose.yml", "docker-compose.yaml", "compose.yaml", "compose.yml")
SIZE_MAX_BYTES = 256 << 10
NODES_MAX = 20_000
"""With every alias written out: nine anchors of nine aliases each would be 387 million."""
_VARIABLE = re.compile(r"\$(?:(?P<escaped>\$)|(?P<plain>[A-Za-z_]\w*)|\{(?P<name>[A-Za-z_]\w*)(?P<rest>[^}]*)\})")
_MEMORY = re.compile(r"(?i)(\d+(?:\.\d+)?)\s*([kmg]?)i?b?")
_MB = {"k": 1 / 1024, "m": 1.0, "g": 1024.0, "": 1 / (1 << 20)}


@dataclass(frozen=True, kw_only=True)
class Compose:
    """A file that holds."""

    services: Mapping[str, Mapping[str, Any]]
    other: tuple[str, ...] = ()
    """Top-level parts beside the services that matter: includes."""
    of_host: frozenset[str] = frozenset()
    """Networks that are the host's own, by the names that services call them by."""


class UnreadableComposeError(Exception):
    """Why the file can't be taken."""


def read_compose(content: bytes, path: str, values: Mapping[str, str] = MappingProxyType({})) -> Compose:
    """The services, with anchors and merges resolved and `${NAME}` put in, but for their `environment`;
    UnreadableComposeError."""
    if len(content) > SIZE_MAX_BYTES:
        raise UnreadableComposeError(f"{path} has more than {SIZE_MAX_BYTES >> 10} KiB.")
    try:
        node = yaml.compose(content.decode(), Loader=yaml.SafeLoader)
        if node is not None and _size(node, {}) > NODES_MAX:
            raise UnreadableComposeError(f"{path} is larger than any compose file with its anchors written out.")
        document = yaml.safe_load(content.decode())
    except UnicodeDecodeError:
        raise UnreadableComposeError(f"{path} is no UTF-8.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise UnreadableComposeError(f"{path}{where}: that is no YAML that can be read.") from None
    except (RecursionError, ValueError, TypeError):
        raise UnreadableComposeError(f"{path} is nested too deep, or holds a value that can't be.") from None
    services = document.get("services") if isinstance(document, dict) else None
    if not isinstance(services, dict) or not all(isinstance(each, dict) for each in services.values()):
        raise UnreadableComposeError(f"{path} has no services.")
    return Compose(
        services={str(name): _resolved(service, values) for name, service in services.items()},
        other=tuple(key for key in ("include", "extends") if document.get(key)),
        of_host=_of_host(filled_everywhere(document.get("networks"), values)),
    )


def _resolved(service: Mapping[str, Any], values: Mapping[str, str]) -> Mapping[str, Any]:
    return {
        str(key): value if key == "environment" else filled_everywhere(value, values) for key, value in service.items()
    }


def filled_everywhere(node: Any, values: Mapping[str, str]) -> Any:
    """The same with compose's `${NAME}` put in; what it lacks stays as it is written."""
    if isinstance(node, dict):
        return {key: filled_everywhere(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [filled_everywhere(each, values) for each in node]
    if not isinstance(node, str):
        return node
    text, lacking = filled_in(node, values)
    return node if lacking else text


def _of_host(networks: Any) -> frozenset[str]:
    """Those that are Docker's `host`, whatever the file calls them."""
    found = set()
    for name, each in networks.items() if isinstance(networks, dict) else ():
        said = each if isinstance(each, dict) else {}
        outer = said.get("external")
        formerly = outer.get("name") if isinstance(outer, dict) else None
        called = said.get("name") or formerly or (name if outer else "")
        if called == "host" or said.get("driver") == "host":
            found.add(str(name))
    return frozenset(found)


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """How many nodes it is with all aliases written out; one that holds itself has no end."""
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = NODES_MAX + 1  # until it is known: whoever meets it within itself has met a circle
    below: Iterator[yaml.Node] = iter(())
    if isinstance(node, yaml.SequenceNode):
        below = iter(node.value)
    elif isinstance(node, yaml.MappingNode):
        below = (each for pair in node.value for each in pair)
    size = 1
    for each in below:
        size += _size(each, known)
        if size > NODES_MAX:
            break
    known[id(node)] = size
    return size


def dangers(name: str, service: Mapping[str, Any], of_host: Collection[str] = ()) -> list[str]:
    """What the service has of the host that a tenant never gets, each named; such a file isn't taken over."""
    found = []
    if str(service.get("privileged") or "no").lower() not in _NO:
        found.append("`privileged`")
    for key in ("network_mode", "pid", "ipc", "uts", "userns_mode", "cgroup"):
        value = str(service.get(key) or "")
        if value == "host" or value.startswith(("container:", "service:")):
            found.append(f"`{key}: {value[:40]}`")
    found += [f"`{key}`" for key in _NEVER if service.get(key)]
    networks = service.get("networks")
    joined = [str(each) for each in networks] if isinstance(networks, (dict, list)) and networks else ["default"]
    found += [f"`networks: {each[:40]}`, the host's own" for each in joined if each in of_host]
    if _at(service, "deploy", "resources", "reservations", "devices"):
        found.append("`deploy.resources.reservations.devices`")
    options = service.get("security_opt")
    for option in options if isinstance(options, list) else ():
        if re.search(r"unconfined|disable|no-new-privileges[:=]false", str(option)):
            found.append(f"`security_opt: {str(option)[:60]}`")
    found += [f"the Docker socket ({source})" for source, _ in mounts(service) if "docker.sock" in source]
    return [f"Service {name} has {what}, which no tenant gets." for what in found]


_NO = ("no", "false", "off", "n", "0")
_NEVER = (
    "devices", "device_cgroup_rules", "device_requests", "gpus", "cap_add", "cgroup_parent", "volumes_from", "runtime",
    "credential_spec", "extends", "sysctls", "use_api_socket",
)  # fmt: skip
NOT_TAKEN = (
    "command", "entrypoint", "user", "ports", "networks", "healthcheck", "depends_on", "build", "configs", "secrets",
    "extra_hosts", "dns", "ulimits", "tmpfs", "shm_size", "links", "working_dir", "post_start", "pre_stop",
)  # fmt: skip
"""What Innkeeper has its own way with."""


def mounts(service: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The service's volumes as source and target; an anonymous one has no source. Memory isn't one."""
    found = []
    volumes = service.get("volumes")
    for each in volumes if isinstance(volumes, list) else ():
        if isinstance(each, dict):
            if each.get("type") == "tmpfs":
                continue
            source = str(each.get("source") or "")
            if each.get("type") == "bind" and source and source[0] not in "./~$":
                source = f"./{source}"  # of a bind that is written out it's a path; in short it would be a volume
            found.append((source, str(each.get("target") or "")))
        else:
            # A default in a variable has a colon of its own: `${DATA:-./data}:/data`.
            parts = re.split(r":(?![^{}]*\})", str(each))
            found.append((parts[0], parts[1]) if len(parts) > 1 else ("", parts[0]))
    return found


def environment(service: Mapping[str, Any]) -> dict[str, str | None]:
    """The service's variables as they are written; None: taken from whoever runs compose."""
    said = service.get("environment")
    if isinstance(said, dict):
        return {str(name): None if value is None else _scalar(value) for name, value in said.items()}
    found: dict[str, str | None] = {}
    for each in said if isinstance(said, list) else ():
        name, equals, value = str(each).partition("=")
        found[name] = value if equals else None
    return found


def _scalar(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def env_files(service: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """The files whose variables the service is given, and whether each has to be there; the last one has its way."""
    said = service.get("env_file")
    listed = said if isinstance(said, list) else [said] if said else []
    return [
        (str(each.get("path") or ""), each.get("required") is not False)
        if isinstance(each, dict)
        else (str(each), True)
        for each in listed
    ]


def filled_in(text: str, values: Mapping[str, str]) -> tuple[str, list[str]]:
    """The text with compose's `${NAME}` put in, and the variables that it lacks."""
    lacking: list[str] = []

    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        name, rest = match["plain"] or match["name"], match["rest"] or ""
        given = values.get(name)
        if rest.startswith((":-", "-")):
            empty = given is None or (rest.startswith(":") and not given)
            return rest.lstrip(":")[1:] if empty else given or ""
        if rest.startswith((":+", "+")):
            return rest.lstrip(":")[1:] if given else ""
        if given is None:
            lacking.append(name)
        return given or ""

    return _VARIABLE.sub(value, text), lacking


def limits(service: Mapping[str, Any]) -> tuple[int | None, float | None]:
    """Megabytes and CPUs that the service may use at most, as far as it says so."""
    most = _at(service, "deploy", "resources", "limits")
    most = most if isinstance(most, dict) else {}
    return _megabytes(most.get("memory", service.get("mem_limit"))), _cpus(most.get("cpus", service.get("cpus")))


def _megabytes(said: object) -> int | None:
    match = _MEMORY.fullmatch(str(said).strip()) if said is not None else None
    return round(float(match[1]) * _MB[match[2].lower()]) if match else None


def _cpus(said: object) -> float | None:
    try:
        return float(str(said)) if said is not None else None
    except ValueError:
        return None


def _at(tree: Mapping[str, Any], *keys: str) -> Any:
    here: Any = tree
    for key in keys:
        here = here.get(key) if isinstance(here, dict) else None
    return here
