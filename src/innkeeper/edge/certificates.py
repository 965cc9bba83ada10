"""Certificates as Caddy keeps them, and what its log says of those that it couldn't get.

Caddy offers neither by its own API. On disk a certificate is `certificates/ISSUER/HOST/HOST.crt`; a failed attempt is a
line of level `error` by `tls.obtain` or `tls.renew` that names the host as `identifier` (Caddy 2.11). While an attempt
is repeated, up to once a minute at first and every six hours in the end, each time makes such a line.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from cryptography import x509

from innkeeper.core.certificates import Certificate, CertificateFailure, Certificates
from innkeeper.edge.caddy_config import EdgePlan
from innkeeper.edge.tls import Way

FAILURES_KEPT = timedelta(hours=24)
FAILURES_AT_MOST = 1000
FIRST_LOOK = 1 << 20
"""So much of the log's end is read by the first look, in bytes; later ones read what is new."""
_ATTEMPTS = ("tls.obtain", "tls.renew")
_SAYS_AT_MOST = 300


class CertificateShelf:
    """Looks at them again and again, each time at what has changed alone."""

    def __init__(self, plan: EdgePlan) -> None:
        self._plan = plan
        self._read: dict[Path, tuple[int, Certificate | None]] = {}
        self._failures: dict[str, CertificateFailure] = {}
        self._log: tuple[int, int] | None = None
        """Which file it was, and up to where it was read."""

    def look(self) -> Certificates:
        """What there is now. Reads files: call it in a thread."""
        if self._plan.tls is None:
            return Certificates()
        certificates = self._certificates()
        got = {held.host: changed / 1e9 for changed, held in self._read.values() if held is not None}
        now = datetime.now(UTC)
        for failure in self._new_failures():
            self._failures.pop(failure.host, None)
            self._failures[failure.host] = failure
        self._failures = {
            host: failure
            for host, failure in list(self._failures.items())[-FAILURES_AT_MOST:]
            if now - failure.at < FAILURES_KEPT and got.get(host, 0.0) < failure.at.timestamp()
        }
        return Certificates(found=tuple(certificates.values()), failures=tuple(self._failures.values()))

    # --- certificates -------------------------------------------------------------------------------------------------

    def _certificates(self) -> dict[str, Certificate]:
        files = self._files()
        self._read = {file: self._one(file) for file in files}
        found: dict[str, Certificate] = {}
        for _, certificate in self._read.values():
            if certificate is not None:
                known = found.get(certificate.host)
                if known is None or known.expires_at < certificate.expires_at:
                    found[certificate.host] = certificate
        return found

    def _files(self) -> list[Path]:
        tls = self._plan.tls
        if tls is not None and tls.way is Way.FILES:
            return [tls.cert] if tls.cert else []
        return [file for file in self._plan.storage.glob("certificates/*/*/*.crt") if file.stem == file.parent.name]

    def _one(self, file: Path) -> tuple[int, Certificate | None]:
        try:
            changed = file.stat().st_mtime_ns
            if (known := self._read.get(file)) is not None and known[0] == changed:
                return known
            leaf = x509.load_pem_x509_certificate(file.read_bytes())
        except (OSError, ValueError):
            return 0, None
        is_own = self._plan.tls is not None and self._plan.tls.way is Way.FILES
        host = self._plan.wildcard if is_own else file.stem.replace("wildcard_", "*")
        return changed, Certificate(
            host=host, begins_at=leaf.not_valid_before_utc, expires_at=leaf.not_valid_after_utc, is_own=is_own
        )

    # --- failures -----------------------------------------------------------------------------------------------------

    def _new_failures(self) -> list[CertificateFailure]:
        try:
            with self._plan.log.open("rb") as log:
                return [failure for line in self._new_lines(log) if (failure := _failure(line)) is not None]
        except FileNotFoundError:
            return []

    def _new_lines(self, log: IO[bytes]) -> list[bytes]:
        stat = os.fstat(log.fileno())
        if self._log is not None and self._log[0] == stat.st_ino and self._log[1] <= stat.st_size:
            start = self._log[1]
        else:
            start = 0 if self._log is not None else max(0, stat.st_size - FIRST_LOOK)
        log.seek(start)
        new = log.read(stat.st_size - start)
        whole = new.rfind(b"\n") + 1
        self._log = stat.st_ino, start + whole
        return new[:whole].splitlines()


def _failure(line: bytes) -> CertificateFailure | None:
    if b'"tls.' not in line or b'"identifier"' not in line or b'"error"' not in line:
        return None
    try:
        said = json.loads(line)
        if said["level"] != "error" or said["logger"] not in _ATTEMPTS:
            return None
        host = str(said["identifier"])
        says = str(said["error"]).removeprefix(f"[{host}] ")[:_SAYS_AT_MOST]
        return CertificateFailure(host=host, at=datetime.fromtimestamp(said["ts"], UTC), says=says)
    except (ValueError, KeyError, TypeError):
        return None
