"""What the process leaves behind when something goes wrong: redacted words, and no copy of its memory.

Python's own ways of telling (an exception that nobody takes, in whichever thread, in a destructor; a warning) write to
stderr as it comes. None of them shows local variables, but a message may quote anything.
"""

from __future__ import annotations

import ctypes
import logging
import resource
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from innkeeper.core.redaction import redact

ExcInfo = tuple[type[BaseException], BaseException | None, TracebackType | None]
Tell = Callable[[str, ExcInfo], None]

_PR_SET_DUMPABLE = 4
"""prctl(2), from <linux/prctl.h>."""


def tell_crashes(tell: Tell) -> None:
    """Hand every exception that nobody takes to `tell`, with what it happened in."""

    def in_main(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        tell("the process", (kind, error, trace))

    def in_thread(crash: threading.ExceptHookArgs) -> None:
        if crash.exc_type is not SystemExit:
            name = crash.thread.name if crash.thread else "?"
            tell(f"the thread {name}", (crash.exc_type, crash.exc_value, crash.exc_traceback))

    def unraisable(crash: sys.UnraisableHookArgs) -> None:
        tell(crash.err_msg or "a destructor", (crash.exc_type, crash.exc_value, crash.exc_traceback))

    sys.excepthook, threading.excepthook, sys.unraisablehook = in_main, in_thread, unraisable


def in_the_log(where: str, error: ExcInfo) -> None:
    """Tell the log, which redacts."""
    logging.getLogger("innkeeper.crashes").critical("%s fell", where, exc_info=error[1])


def on_stderr(_where: str, error: ExcInfo) -> None:
    """Tell whoever runs a command, as Python would, but redacted."""
    with suppress(OSError, ValueError):
        sys.stderr.write(redact("".join(traceback.format_exception(*error))))
        sys.stderr.flush()


def leave_no_core() -> None:
    """See that the kernel writes no memory of this process to a disk, nor shows it to others of the same user.

    The limit alone isn't enough where cores are piped to a collector, which core(5) says isn't bound by it. Whatever is
    executed later is dumpable again.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError, AttributeError):  # no Linux
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
