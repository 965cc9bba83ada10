"""docs/reference/settings.md: every setting, from its docstring."""

from __future__ import annotations

from pydantic.fields import FieldInfo

from innkeeper.cli.reference.markdown import paragraph
from innkeeper.settings import Settings

_HEAD = """# Settings

Read from the environment first, then from the file of `innkeeper --config FILE` (TOML, names in lower case and without
the prefix), then from these defaults.
"""


def render() -> str:
    """The page."""
    parts = [_HEAD]
    for group, names in Settings.groups.items():
        parts.append(f"## {group}\n")
        parts += [_setting(name, Settings.model_fields[name]) for name in names]
    return "\n".join(parts)


def variable(name: str, field: FieldInfo) -> str:
    """The environment variable of a setting."""
    alias = field.validation_alias
    return alias if isinstance(alias, str) else f"INNKEEPER_{name.upper()}"


def _setting(name: str, field: FieldInfo) -> str:
    return (
        f"### `{name}`\n\n{paragraph(field.description)}\n\n"
        f"Environment: `{variable(name, field)}`. Default: {_default(field)}.\n"
    )


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "see above"  # it depends on who runs it
    match field.default:
        case None:
            return "unset"
        case bool() as flag:
            return f"`{str(flag).lower()}`"
        case []:
            return "none"
        case value:
            return f"`{value}`"
