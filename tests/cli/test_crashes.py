"""What a process of ours leaves behind when it falls: words without secrets, and no core."""

from __future__ import annotations

import subprocess
import sys

import pytest

HIDDEN = "the-canary-sings-9f2c"
SET_UP = f"""
import asyncio, gc, logging, sys, threading, warnings
from innkeeper.core.redaction import hide
from innkeeper.crashes import in_the_log, leave_no_core, on_stderr, tell_crashes
from innkeeper.telemetry import set_up_logs
hide({HIDDEN[::-1]!r}[::-1])
secret = {HIDDEN[::-1]!r}[::-1]
"""
SERVING = SET_UP + "leave_no_core(); set_up_logs(form='json'); tell_crashes(in_the_log)\n"


def ran(program: str) -> str:
    """What a process with that program writes."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("falls", "word"),
    [
        ("raise ValueError(secret)", "the process fell"),
        ("thread = threading.Thread(target=int, args=[secret]); thread.start(); thread.join()", "the thread"),
        ("class A:\n  def __del__(self): raise ValueError(secret)\nA(); gc.collect()", "ValueError"),
        ("warnings.warn(secret)", "UserWarning"),
        ("logging.getLogger('x').warning('%d of %s', secret, secret)", "couldn't be written"),
        ("logging.getLogger('x').warning('an %s', type('A', (), {'__str__': lambda _: 1 / len(secret[:0])})())", "x's"),
        (
            (
                "async def main():\n  async def fall(): raise ValueError(secret)\n"
                "  asyncio.create_task(fall()); await asyncio.sleep(0)\nasyncio.run(main())"
            ),
            "Task exception was never retrieved",
        ),
        (
            (
                "async def main(): asyncio.get_running_loop().call_soon(int, secret); await asyncio.sleep(0)\n"
                "asyncio.run(main())"
            ),
            "Exception in callback",
        ),
        ("try: raise KeyError(secret)\nexcept KeyError as error: raise ValueError('b') from error", "the process fell"),
    ],
)
def test_whatever_falls_is_told_without_secrets(falls: str, word: str) -> None:
    said = ran(SERVING + falls)
    assert word in said
    assert HIDDEN not in said


def test_a_command_that_falls_tells_where_and_no_secret() -> None:
    said = ran(f"{SET_UP}tell_crashes(on_stderr)\ndef deep(): raise ValueError('at ' + secret)\ndeep()")
    assert "in deep" in said
    assert "ValueError: at …" in said
    assert HIDDEN not in said


def test_there_will_be_no_core() -> None:
    limit, dumpable = "resource.getrlimit(resource.RLIMIT_CORE)", "ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)"
    assert ran(f"{SERVING}import ctypes, resource; print({limit}, {dumpable})").strip() == "(0, 0) 0"
