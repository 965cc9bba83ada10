"""Values as they can stand in Caddy's configuration."""

from __future__ import annotations

from innkeeper.core.errors import EdgeFault


def quoted(value: object) -> str:
    """The value between quotes; EdgeFault for one that would change the configuration's meaning."""
    text = str(value)
    if any(character in text for character in '`"{}\\\n'):
        raise EdgeFault(f"{text!r} can't stand in Caddy's configuration.", hint="Choose a plainer path or host name.")
    return f'"{text}"'
