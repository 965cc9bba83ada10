"""What restic says, in the core's words. It has no codes that tell failures apart, so its sentences are read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NoReturn

from innkeeper.core.errors import DiskFull, Problem
from innkeeper.core.redaction import redact
from innkeeper.core.snapshot_errors import (
    BackupFailed,
    RepositoryLocked,
    SnapshotDamaged,
    SnapshotMissing,
    TargetFull,
    TargetRefused,
    TargetUnreachable,
)
from innkeeper.restic.sandbox import CACHE

_FULL = (
    "no space left on device",
    "disk quota exceeded",
    "QuotaExceeded",
    "StorageFull",
    "507 Insufficient Storage",
)
_LOCKED = ("unable to create lock in backend", "repository is already locked")
_REFUSED = (
    "wrong password or no key found",
    "Access ?Denied",
    "SignatureDoesNotMatch",
    "signature we calculated",
    "InvalidAccessKeyId",
    "Access Key Id you provided does not exist",
    "AuthorizationHeaderMalformed",
    "AuthenticationFailed",
    "invalid_grant",
    "no .*credentials",
    "could not find default credentials",
    r"\b40[13]\b",
    "Forbidden",
    "Unauthorized",
    "permission denied",
    "Host key verification failed",
    "x509: ",
)
_MISSING = (
    "no matching ID found",
    "not found in snapshot",
    "cannot dump file: path",
    "no snapshot found",
)
_UNREACHABLE = (
    "connection refused",
    "connection reset",
    "connection timed out",
    "connection closed by",
    "no such host",
    "could not resolve",
    "server misbehaving",
    "i/o timeout",
    "network is unreachable",
    "no route to host",
    "TLS handshake",
    "server gave HTTP response to HTTPS client",
    "unexpected EOF",
    "broken pipe",
    "context deadline exceeded",
    r"\b50[0234]\b",
    "Service Unavailable",
    "SlowDown",
    "unable to start the sftp session",
)
_DAMAGED = (
    "does not exist",
    "no such file or directory",
    "NoSuchKey",
    "not found in index",
    "invalid data returned",
    "Pack ID does not match",
    "Blob ID does not match",
    "hash mismatch",
    "invalid header",
    "ciphertext verification failed",
    "repository contains errors",
    "LoadIndex returned errors",
    "could not load snapshot",
    "unable to load",
    "unexpected file size",
    "blob <.*> not found",
    "error walking snapshot",
    "config file has zero size",
    "slice bounds out of range",
    "unmarshal: ",
)
_NONE_THERE = ("does not exist", "no such file", "not found", r"\b404\b", "NoSuchKey", "NoSuchBucket", "doesn't exist")


def _any(phrases: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(phrases), re.IGNORECASE)


_KINDS: Sequence[tuple[type[Problem], re.Pattern[str]]] = [
    (TargetFull, _any(_FULL)),
    (RepositoryLocked, _any(_LOCKED)),
    (TargetRefused, _any(_REFUSED)),
    (TargetUnreachable, _any(_UNREACHABLE)),
    (SnapshotMissing, _any(_MISSING)),
    (SnapshotDamaged, _any(_DAMAGED)),
]
_NO_REPOSITORY = _any(_NONE_THERE)
_OPENING = "unable to open config file"
_LACKS = re.compile(
    r"error for tree [0-9a-f]+:|(?:tree|id) [0-9a-f]{64}\b.* not found in (?:index|repository)|"
    r"Fatal: repository contains errors|The repository is damaged and must be repaired"
)
_RETRY = re.compile(r"\) returned error, retrying after ")
_DEVICE = re.compile(r"ignoring error for /.+: operation not permitted")
_COUNTED = re.compile(r"Fatal: There were (\d+) errors")
_TOLD = 400


def is_retry(line: str) -> bool:
    """Whether it has met an error that it will try to get over."""
    return _RETRY.search(line) is not None


def only_lacks(said: Sequence[str]) -> bool:
    """Whether all that a check complains of is that trees refer to what isn't there: all files are as written."""
    return bool(said) and all(_LACKS.search(line) for line in said)


def is_a_lack(line: str) -> bool:
    """Whether it tells of something that a tree refers to and that isn't there."""
    return _LACKS.search(line) is not None


def only_devices(said: Sequence[str]) -> bool:
    """Whether all that a restore has failed at are device nodes, which it isn't allowed to make."""
    counted = next((int(found[1]) for line in said if (found := _COUNTED.match(line))), 0)
    return 0 < counted == sum(_DEVICE.fullmatch(line) is not None for line in said)


def no_repository(said: Sequence[str]) -> bool:
    """Whether the target has answered that there is none."""
    opening = [line for line in said if _OPENING in line]
    return bool(opening) and _NO_REPOSITORY.search(opening[-1]) is not None


def fail(doing: str, said: Sequence[str], code: int, *, restoring: bool = False, near: bool = False) -> NoReturn:
    """Raise what it means; `doing` begins the sentence: "The snapshot of alice". `near`: all is on our disks."""
    kind, line = _meant(said)
    if near and kind is TargetUnreachable:  # a file that ends too early, say
        kind = SnapshotDamaged
    if kind is TargetFull and (restoring or CACHE in line):
        kind = DiskFull
    raise kind(f"{doing} failed: {_told(line) or f'restic ended with {code} and said nothing'}")


def fail_silent(doing: str, said: Sequence[str]) -> NoReturn:
    """Raise why it has made no progress: what it tries to get over, or a target that says nothing at all."""
    kind, line = _meant([each for each in said if is_retry(each)])
    if kind in (BackupFailed, SnapshotMissing):
        kind = TargetUnreachable
    raise kind(f"{doing} was given up: {_told(line) or 'the target has said nothing for too long'}")


def _told(line: str) -> str:
    return redact(line)[:_TOLD]


def _meant(said: Sequence[str]) -> tuple[type[Problem], str]:
    lines = [line for line in said if not line.startswith("{")]
    if no_repository(lines):
        return SnapshotMissing, next(line for line in lines if _OPENING in line)
    for kind, phrases in _KINDS:
        for line in lines:
            if phrases.search(_reason(line)):
                return kind, line
    worst = [line for line in lines if line.startswith(("Fatal:", "error:"))]
    return BackupFailed, (worst or [*lines] or [""])[-1]


def _reason(line: str) -> str:
    """What it says of the cause; not of a file of a tenant's, who may call it as they like."""
    return line.rpartition(": ")[2] if line.startswith("ignoring error for /") else line
