"""docs/reference/api-errors.md: every code that an error can have."""

from __future__ import annotations

import importlib
import pkgutil

import innkeeper
from innkeeper.api.problems import OurBug
from innkeeper.cli.reference.markdown import table
from innkeeper.core.errors import Problem, documented
from innkeeper.problems import status_of

_HEAD = """# Errors

The API answers errors as `application/problem+json` (RFC 9457): `code` is one of these and stays what it is, `detail`
says what is wrong, `hint` what to do, `field` names the part of the request that is wrong. With `--json` the CLI prints
the same document. 503 with `Retry-After` means: ask again. Operations carry the same codes in `error`.
"""
_NOT_IMPORTED = ("__main__", "migrations")


def render() -> str:
    """The page."""
    return f"{_HEAD}\n" + table(
        ("code", "status", "what it means", "what to do"),
        ((f"`{each.code}`", str(status_of(each)), each.__doc__ or "", each.default_hint) for each in problems()),
    )


def problems() -> list[type[Problem]]:
    """Every problem that any module of ours knows."""
    for module in pkgutil.walk_packages(innkeeper.__path__, "innkeeper."):
        if not any(part in _NOT_IMPORTED for part in module.name.split(".")):
            importlib.import_module(module.name)
    found = [each for each in documented() if each.__module__.startswith("innkeeper.")]
    return [OurBug if each is Problem else each for each in found]  # the tree's root stands for what nobody foresaw
