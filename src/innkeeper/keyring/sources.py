"""Where the master keys come from: a file, the environment, or a command such as a KMS's."""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol

from innkeeper.keyring.faults import KeyringFault
from innkeeper.keyring.files import SIZE_LIMIT, read_private, replace_with, translated, wipe_left_overs, write_once

COMMAND_TAKES_S = 10.0
"""Longest that a command may take; a KMS answers within one."""
_SAID = 120
"""So many characters of what a command says on stderr are told, of its last line: enough for its reason."""
_LIKE_A_KEY = re.compile(r"[A-Za-z0-9+/=_-]{20,}")


class MasterSource(Protocol):
    """Hands out the keyring's JSON. A KMS that unwraps it is one more of these."""

    where: str
    """For people: `/var/lib/innkeeper/keyring`."""
    writable: bool
    """Whether a new master key can be put there by us; else its operator adds it."""

    def read(self) -> bytes | None:
        """The JSON; None: there is none yet. Raises KeyringFault. May take COMMAND_TAKES_S, so never on a loop."""
        ...

    def write(self, content: bytes, *, anew: bool) -> None:
        """Put it there whole or not at all; `anew`: only if there is none. Not called unless `writable`."""
        ...

    def tidy(self) -> None:
        """Take away what a crash has left of a `write`. Not called unless `writable`."""
        ...


class KeyringFile:
    """A file of 0600, here or on a mount of its own."""

    writable = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self.where = str(path)

    def read(self) -> bytes | None:
        """What it holds."""
        with translated(self._path):
            try:
                return read_private(self._path)
            except FileNotFoundError:
                return None

    def write(self, content: bytes, *, anew: bool) -> None:
        """Put it there."""
        with translated(self._path):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if anew:
                write_once(self._path, content)
            else:
                replace_with(self._path, content)

    def tidy(self) -> None:
        """Wipe files that were still being written."""
        with translated(self._path):
            wipe_left_overs(self._path)


class KeyringText:
    """The JSON itself, from the environment."""

    writable = False

    def __init__(self, text: str, *, where: str) -> None:
        self._text = text
        self.where = where

    def read(self) -> bytes | None:
        """As it was given."""
        return self._text.encode()

    def write(self, content: bytes, *, anew: bool) -> None:
        """Never called."""
        raise KeyringFault(f"{self.where} can't be written to.", hint="Add the key there by hand.")

    def tidy(self) -> None:
        """Never called."""


class KeyringCommand:
    """A program that prints the JSON, run without a shell."""

    writable = False

    def __init__(self, argv: Sequence[str], *, takes_s: float = COMMAND_TAKES_S) -> None:
        self._argv = list(argv)
        self._takes_s = takes_s
        self.where = f"the command {self._argv[0]}"

    def read(self) -> bytes | None:
        """What it prints within its time; whatever it leaves running is ended."""
        try:
            process = subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "its arguments won't do"
            raise KeyringFault(
                f"{self.where} can't be run: {reason}.", hint="Look at INNKEEPER_MASTER_KEY_COMMAND."
            ) from None
        assert process.stdout is not None  # noqa: S101 - for the type checker
        assert process.stderr is not None  # noqa: S101
        deadline = time.monotonic() + self._takes_s
        with process.stdout, process.stderr:
            try:
                printed, said = _read_both(process.stdout, process.stderr, deadline)
                if len(printed) > SIZE_LIMIT:
                    raise KeyringFault(f"{self.where} prints more than any keyring is.", hint=_LOOK)
                code = process.wait(max(0.0, deadline - time.monotonic()))
            except (TimeoutError, subprocess.TimeoutExpired):
                raise KeyringFault(f"{self.where} doesn't end within {self._takes_s:g} s.", hint=_LOOK) from None
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if code:
            raise KeyringFault(f"{self.where} ended with {code}: {_reason(said)}", hint=_LOOK)
        return printed

    def write(self, content: bytes, *, anew: bool) -> None:
        """Never called."""
        raise KeyringFault(f"{self.where} can't be written to.", hint="Add the key where it takes it from.")

    def tidy(self) -> None:
        """Never called."""


_LOOK = "Run it by hand; it has to print the keyring's JSON and nothing else. Nothing was changed."


def _read_both(out: IO[bytes], err: IO[bytes], deadline: float) -> tuple[bytes, bytes]:
    """All of the one, the end of the other; no more than is wanted, however much there is."""
    got = {out: b"", err: b""}
    with selectors.DefaultSelector() as waiting:
        for stream in got:
            waiting.register(stream, selectors.EVENT_READ)
        while waiting.get_map():
            ready = waiting.select(max(0.0, deadline - time.monotonic()))
            if not ready or time.monotonic() > deadline:  # also of one that never stops talking
                raise TimeoutError
            for key, _ in ready:
                stream = out if key.fileobj is out else err
                chunk = os.read(stream.fileno(), 65536)
                if not chunk:
                    waiting.unregister(stream)
                    continue
                got[stream] += chunk
                if stream is err:
                    got[err] = got[err][-4 * _SAID :]
                elif len(got[out]) > SIZE_LIMIT:
                    return got[out], b""
    return got[out], got[err]


def _reason(said: bytes) -> str:
    lines = said.decode(errors="replace").strip().splitlines()
    shown = "".join(filter(str.isprintable, lines[-1])) if lines else ""
    return _LIKE_A_KEY.sub("…", shown)[:_SAID] or "it says nothing."
