"""Encrypting a file on the way, as age does: the plain text never lies on the disk."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyrage

from innkeeper.core.errors import Invalid, UnitFault
from innkeeper.core.ports.exports import Lock
from innkeeper.units.age_passphrase import Sealing
from innkeeper.units.pack_tar import Writer


@contextmanager
def locked(out: Writer, lock: Lock) -> Iterator[Writer]:
    """Where to write the plain text; `out` has all of it when the block has ended well."""
    if lock.recipients:
        with _to_recipients(out, lock.recipients) as writer:
            yield writer
    elif lock.passphrase is not None:
        sealing = Sealing(out, lock.passphrase)
        yield sealing
        sealing.close()
    else:
        yield out


def recipients_of(texts: Sequence[str]) -> list[Any]:
    """What age calls recipients, as pyrage has them; Invalid for what is none."""
    found: list[Any] = []
    for text in texts:
        kind = pyrage.ssh.Recipient if text.startswith("ssh-") else pyrage.x25519.Recipient
        try:
            found.append(kind.from_str(text.strip()))
        except pyrage.RecipientError:
            raise Invalid(
                f"{text[:20]!r}… is no age recipient.",
                field="recipients",
                hint="It begins with `age1`, as age-keygen prints it, or is a line of an SSH public key.",
            ) from None
    return found


@contextmanager
def _to_recipients(out: Writer, texts: Sequence[str]) -> Iterator[Writer]:
    """pyrage reads what it encrypts, so it reads from a pipe in a thread of its own."""
    recipients, kept = recipients_of(texts), _Kept(out)
    reading, writing = os.pipe()
    ends: list[BaseException] = []

    def encrypt() -> None:
        with os.fdopen(reading, "rb") as source:
            try:
                pyrage.encrypt_io(source, kept, recipients)
            except Exception as error:  # whoever writes finds the pipe broken
                ends.append(kept.error or error)

    thread = threading.Thread(target=encrypt, name="encrypt", daemon=True)
    thread.start()
    broken = False
    try:
        with os.fdopen(writing, "wb", buffering=1 << 20) as pipe:
            yield pipe
    except BrokenPipeError:
        broken = True
    finally:
        thread.join()
    if ends and isinstance(ends[0], OSError):
        raise ends[0]
    if ends or broken:
        raise UnitFault("It could not be encrypted.") from (ends[0] if ends else None)


class _Kept:
    """Remembers what went wrong: it comes back from the other side of pyrage as something else."""

    def __init__(self, out: Writer) -> None:
        self._out = out
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self._out.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        """All of it is written at once."""
