"""The operator's own certificate: checked before Caddy sees it, and named by what is in it.

Caddy reads such files only with a configuration that is new to it. So it is given links whose names change with the
files: a renewed certificate is a new configuration, which is loaded as any other.
"""

from __future__ import annotations

import hashlib
import ssl
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from innkeeper.core.errors import EdgeFault
from innkeeper.edge.caddy_config import EdgePlan
from innkeeper.edge.tls import Way

_PREFIX = "own-"


def with_own_files(plan: EdgePlan) -> EdgePlan:
    """The plan with links to the files as they are now; raises EdgeFault for any that Caddy couldn't use."""
    tls = plan.tls
    if tls is None or tls.way is not Way.FILES or tls.cert is None or tls.key is None:
        return plan
    cert, key = tls.cert.absolute(), tls.key.absolute()
    mark = hashlib.sha256(_read(cert, "INNKEEPER_TLS_CERT") + _read(key, "INNKEEPER_TLS_KEY")).hexdigest()[:16]
    _check_pair(cert, key)
    links = {f"{_PREFIX}{mark}.crt": cert, f"{_PREFIX}{mark}.key": key}
    for name, file in links.items():
        fresh = plan.run / f"{name}+"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(file)
        fresh.rename(plan.run / name)
    for old in plan.run.glob(f"{_PREFIX}*"):
        if old.name not in links:
            with suppress(FileNotFoundError):
                old.unlink()
    linked_cert, linked_key = (plan.run / name for name in links)
    return replace(plan, tls=replace(tls, cert=linked_cert, key=linked_key))


def _read(file: Path, setting: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise EdgeFault(
            f"{file} can't be read: {error.strerror}.", hint=f"Set {setting} to a file that Innkeeper may read."
        ) from error


def _check_pair(cert: Path, key: Path) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=b"")
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or str(error)
        raise EdgeFault(
            f"{cert} and {key} are no certificate with its key: {reason.lower().replace('_', ' ')}.",
            hint="Both are to be in PEM, the certificate first of its chain and the key without a passphrase.",
        ) from error
