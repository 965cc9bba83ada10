"""The isolation probe: what a tenant really reaches, tried from inside one with whatever its image has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from innkeeper.core.errors import RuntimeFault
from innkeeper.core.instance import Instance
from innkeeper.runtimes.docker import DockerRuntime

HOST_PORTS = (22, 80, 2375, 8700)
"""Ports of the host to knock at: whether anything listens doesn't matter, a refusal is an answer, too."""
HOST_ADDRESSES = 8
"""So many of the host's other addresses are tried; a host with a hundred bridges answers alike on all of them."""
METADATA = "169.254.169.254"
THE_HOST = "the host"
TIMEOUT_S = 15.0


class Answer(StrEnum):
    """What came back from a knock."""

    OPEN = "open"
    REFUSED = "refused"  # nothing listens there, but the packet arrived
    SILENT = "silent"


@dataclass(frozen=True, kw_only=True)
class Target:
    """An address to knock at, in words and in numbers."""

    what: str
    host: str
    port: int
    wanted: Answer

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.what} at {host}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What one knock found."""

    target: Target
    answer: Answer

    @property
    def right(self) -> bool:
        """Whether it is as it should be."""
        return self.answer is self.target.wanted


async def probe_isolation(runtime: DockerRuntime, instance: Instance, *, others: Sequence[str] = ()) -> list[Reach]:
    """Knock at the broker, which must answer, and at all that must not; `others` are neighbours' `HOST:PORT`."""
    targets = await _targets(runtime, instance, others)
    told = await _knock(runtime, instance, targets)
    reaches = [Reach(target=target, answer=told[target.host, target.port]) for target in targets]
    # An address that went while it was knocked at isn't the host's any more, and anybody may have answered there.
    still = {str(address) for address in runtime.host_net.addresses()}
    return [reach for reach in reaches if reach.right or reach.target.what != THE_HOST or reach.target.host in still]


async def _targets(runtime: DockerRuntime, instance: Instance, others: Sequence[str]) -> list[Target]:
    gateway = (await runtime.place_of(instance)).gateway
    found = [Target(what="the broker", host=gateway, port=runtime.broker_port, wanted=Answer.OPEN)]
    found += [_shut(THE_HOST, gateway, port) for port in HOST_PORTS if port != runtime.broker_port]
    elsewhere = [str(address) for address in runtime.host_net.addresses() if str(address) != gateway]
    found += [_shut(THE_HOST, address, runtime.broker_port) for address in elsewhere[:HOST_ADDRESSES]]
    link_local = runtime.host_net.link_local(await runtime.bridge_of(instance))
    if link_local:
        found.append(_shut("the host by IPv6", f"{link_local}%eth0", HOST_PORTS[0]))
    found.append(_shut("the cloud's metadata", METADATA, 80))
    for other in others:
        host, _, port = other.rpartition(":")
        found.append(_shut("a neighbour", host, int(port)))
    return found


def _shut(what: str, host: str, port: int) -> Target:
    return Target(what=what, host=host, port=port, wanted=Answer.SILENT)


async def _knock(
    runtime: DockerRuntime, instance: Instance, targets: Sequence[Target]
) -> dict[tuple[str, int], Answer]:
    """Run the first of our programs for which the image has the means."""
    words = [word for target in targets for word in (target.host, str(target.port))]
    for program in PROGRAMS:
        ended = await runtime.run(instance, [*program, *words], timeout_s=TIMEOUT_S)
        if ended.exit_code == 0:
            return read_answers(ended.output)
    raise RuntimeFault(f"The image of {instance.tenant} has no program to knock with: python3, node, bash or nc.")


def read_answers(output: bytes) -> dict[tuple[str, int], Answer]:
    """What a program of ours printed: `HOST PORT ANSWER` a line."""
    lines = (line.split() for line in output.decode().splitlines())
    return {(host, int(port)): Answer(answer) for host, port, answer in lines}


_PYTHON = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor
def knock(host, port):
    try:
        socket.create_connection((host, int(port)), 2).close()
        return "open"
    except ConnectionRefusedError:
        return "refused"
    except OSError:
        return "silent"
pairs = list(zip(sys.argv[1::2], sys.argv[2::2]))
with ThreadPoolExecutor(16) as pool:
    for pair, answer in zip(pairs, pool.map(lambda pair: knock(*pair), pairs)):
        print(*pair, answer)
"""
_NODE = """
const net = require("net"), words = process.argv.slice(1);
for (let i = 0; i < words.length; i += 2) {
  const [host, port] = [words[i], words[i + 1]];
  const socket = net.connect({ host, port: Number(port) });
  const tell = (answer) => { if (!socket.told) console.log(host, port, answer); socket.told = true; socket.destroy(); };
  socket.setTimeout(2000, () => tell("silent"));
  socket.on("connect", () => tell("open"));
  socket.on("error", (error) => tell(error.code === "ECONNREFUSED" ? "refused" : "silent"));
}
"""
_BASH = """
knock() {
  said=$(timeout 2 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2" 2>&1) && answer=open || answer=silent
  case $said in *efused*) answer=refused ;; esac
  echo "$1 $2 $answer"
}
while [ $# -gt 0 ]; do
  knock "$1" "$2" &
  shift 2
  # Few at a time: every knock is some processes, and a tenant may have but few.
  [ $(($# / 2 % 8)) -gt 0 ] || wait
done
wait
"""
_NC = """
command -v nc >/dev/null || exit 127
knock() {
  said=$(timeout 4 nc -w 2 "$1" "$2" 2>&1 </dev/null)
  # Only a failed connect ends with 1; a server that keeps talking is cut off by timeout.
  [ $? -eq 1 ] && answer=silent || answer=open
  case $said in *efused*) answer=refused ;; esac
  echo "$1 $2 $answer"
}
while [ $# -gt 0 ]; do
  knock "$1" "$2" &
  shift 2
  # Few at a time: every knock is some processes, and a tenant may have but few.
  [ $(($# / 2 % 8)) -gt 0 ] || wait
done
wait
"""
PROGRAMS = (
    ("python3", "-c", _PYTHON),
    ("node", "-e", _NODE),
    # To a shell, the first word after the program is its name.
    ("bash", "-c", _BASH, "knock"),
    ("sh", "-c", _NC, "knock"),
)
"""The same in four languages, each followed by `HOST PORT HOST PORT …`; ends with 0 only where it could be run."""
