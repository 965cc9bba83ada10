"""Reading an `.env` as docker compose and python-dotenv do; what can't be read is told by its line, never quoted.

A value may refer to variables above it, but for one in single quotes. What a `$` with no such name behind it means, the
two don't agree on, and passwords have them: it stays as it is written.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dotenv.parser import parse_stream

LINES_MAX = 5000
_REFERENCE = re.compile(r"\$(?:(?P<plain>[A-Za-z_]\w*)|\{(?P<name>[A-Za-z_]\w*)(?::?-(?P<default>[^}$]*))?\})")
_SINGLE = re.compile(r"[^=]*=[^\S\r\n]*'")


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A variable and the line that sets it last."""

    name: str
    value: str
    line: int


@dataclass(frozen=True, kw_only=True)
class EnvFile:
    """What a file sets, and which of its lines nobody can read."""

    variables: Sequence[Variable]
    faults: Sequence[str]

    @property
    def values(self) -> dict[str, str]:
        """By name."""
        return {each.name: each.value for each in self.variables}


def read_env(content: bytes, path: str) -> EnvFile:
    """All that it sets, with what its values refer to put in."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        return EnvFile(variables=(), faults=(f"{path}, line {line}: that is no UTF-8.",))
    if text.count("\n") > LINES_MAX:
        return EnvFile(variables=(), faults=(f"{path} has more than {LINES_MAX} lines.",))
    found: dict[str, Variable] = {}
    faults = []
    for binding in parse_stream(io.StringIO(text)):
        line = binding.original.line + _blank_lines(binding.original.string)
        if binding.error:
            faults.append(f"{path}, line {line}: that sets no variable.")
        elif binding.key is not None and binding.value is None:
            # Not quoted: it may be a key that somebody forgot to name.
            faults.append(f"{path}, line {line}: a name without `=` sets nothing.")
        elif binding.key is not None and binding.value is not None:
            if "\0" in binding.value or "\0" in binding.key:
                faults.append(f"{path}, line {line}: there is a NUL in it.")
            else:
                value = binding.value
                if not _SINGLE.match(binding.original.string.lstrip()):
                    value = _filled_in(value, found)
                found[binding.key] = Variable(name=binding.key, value=value, line=line)
    return EnvFile(variables=tuple(found.values()), faults=tuple(faults))


def _filled_in(value: str, above: Mapping[str, Variable]) -> str:
    def put_in(match: re.Match[str]) -> str:
        known = above.get(match["plain"] or match["name"])
        if known is not None and (known.value or match["default"] is None):
            return known.value
        return match[0] if match["default"] is None else match["default"]

    return _REFERENCE.sub(put_in, value)


def _blank_lines(text: str) -> int:
    """How many lines a binding begins with that are empty."""
    return text[: len(text) - len(text.lstrip())].count("\n")
