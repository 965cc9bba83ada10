"""A file as it is, or decrypted on the way if it is age's: the key never leaves this process."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from innkeeper.cli.exits import Stop, failed, wrong_usage
from innkeeper.cli.secret_value import value_from

MAGIC = b"age-encryption.org/"
ARMOUR = b"-----BEGIN AGE ENCRYPTED FILE-----"
_PIECE = 256 << 10


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, most: int = -1, /) -> bytes: ...


@contextmanager
def plain_pieces(file: Path, *, identity: Path | None, passphrase: str | None) -> Iterator[Iterator[bytes]]:
    """The file's plain bytes, piece by piece; Stop where it can't be read or opened."""
    try:
        source = file.open("rb")
    except OSError as error:
        raise failed("unreadable", f"{file} can't be read: {error.strerror}.") from None
    with source:
        head = source.read(len(ARMOUR))
        source.seek(0)
        if not head.startswith((MAGIC, ARMOUR)):
            if identity is not None or passphrase is not None:
                raise wrong_usage(f"{file} isn't encrypted.", hint="Leave the key or the passphrase out.")
            yield _pieces(source)
        elif identity is not None:
            with _decrypted(source, identity) as plain:
                yield plain
        else:
            hint = "Say --identity for the key that opens it, or --passphrase-file."
            closed = wrong_usage(f"{file} is encrypted, and there is no passphrase.", hint=hint)
            words = value_from(passphrase or "-", asking="Passphrase", unless=closed)
            yield _opened(source, words)


def _pieces(source: Readable) -> Iterator[bytes]:
    while piece := source.read(_PIECE):
        yield piece


def _opened(source: BinaryIO, words: str) -> Iterator[bytes]:
    from innkeeper.units.age_passphrase import Opening, WrongPassphrase

    try:
        yield from _pieces(Opening(source, words))
    except WrongPassphrase as error:
        raise _not_opened(str(error)) from None


@contextmanager
def _decrypted(source: BinaryIO, identity: Path) -> Iterator[Iterator[bytes]]:
    """By a thread that writes into a pipe: the library wants somewhere to write to, and a request somewhere to read."""
    keys = _identities(identity)
    reading, writing = os.pipe()
    trouble: list[str] = []

    def decrypt() -> None:
        import pyrage

        try:
            with os.fdopen(writing, "wb") as into:
                pyrage.decrypt_io(source, into, keys)
        except BrokenPipeError:
            return  # whoever reads has left
        except Exception as error:
            trouble.append(str(error))

    thread = threading.Thread(target=decrypt, name="age", daemon=True)
    thread.start()

    def plain() -> Iterator[bytes]:
        yield from _pieces(into)
        thread.join()
        if trouble:
            raise _not_opened(f"{trouble[0]}.")

    with os.fdopen(reading, "rb") as into:
        yield plain()
    thread.join()


def _identities(file: Path) -> list[object]:
    import pyrage

    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError):
        raise failed("unreadable", f"{file} can't be read.") from None
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("AGE-SECRET-KEY-")]
    try:
        if lines:
            return [pyrage.x25519.Identity.from_str(line) for line in lines]
        return [pyrage.ssh.Identity.from_buffer(text.encode())]
    except Exception:
        # What it says may quote the file.
        raise failed("unreadable", f"{file} holds no age identity and no SSH key that can be used.") from None


def _not_opened(why: str) -> Stop:
    return failed("not_opened", f"The file doesn't open: {why}", "Nothing was taken from it.")
