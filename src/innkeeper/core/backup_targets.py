"""How a far target of backups is written in the settings, and which variables go with it."""

from __future__ import annotations

import re

from innkeeper.core.errors import Invalid

PREFIXES = ("AWS_", "AZURE_", "B2_", "GOOGLE_", "OS_", "RESTIC_REST_", "ST_")
"""How the variables begin that restic reads credentials from."""
SFTP = re.compile(r"sftp:(?://)?(?P<login>[A-Za-z0-9_][A-Za-z0-9_.@-]*)(?::(?P<port>\d+)/)?:?(?P<path>.+)")
_KINDS = ("s3", "gs", "azure", "sftp", "rest", "b2", "swift")
_USER_INFO = re.compile(r"://[^/]*@")
_OPEN = frozenset({"AWS_ACCESS_KEY_ID", "AZURE_ACCOUNT_NAME", "B2_ACCOUNT_ID", "GOOGLE_PROJECT_ID"})
_OPEN_ENDS = ("_URL", "_REGION", "_REGION_NAME", "_DOMAIN_NAME", "_PROJECT_NAME", "_TENANT_NAME", "_USERNAME", "_USER")


def check_url(url: str) -> str:
    """The URL, or Invalid, which doesn't quote what may be a password."""
    kind, _, place = url.partition(":")
    if kind not in _KINDS or not place or not url.isprintable() or " " in url:
        raise Invalid(f"It is neither an absolute path nor begins with one of {', '.join(_KINDS)} and a colon.")
    if _USER_INFO.search(url) and kind != "sftp":
        raise Invalid("It holds a user or a password.", hint="Put them into backup_credentials.")
    if kind == "sftp" and SFTP.fullmatch(url) is None:
        raise Invalid("An SFTP target is `sftp:USER@HOST:/PATH` or `sftp://USER@HOST:PORT//PATH`.")
    return url


def is_secret(variable: str) -> bool:
    """Whether what goes by that name must not be written out."""
    return variable not in _OPEN and not variable.endswith(_OPEN_ENDS)
