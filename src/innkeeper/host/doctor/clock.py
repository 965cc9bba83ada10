"""Clock: certificates, tokens and schedules are only as right as it is."""

from __future__ import annotations

import ctypes
import sys
from datetime import UTC, datetime

from innkeeper.host.doctor.finding import Finding, Status
from innkeeper.host.doctor.host import Host

NO_EARLIER_THAN = datetime(2026, 11, 1, tzinfo=UTC)
"""This version wasn't there before, so a clock that shows less is wrong."""
FIX = "Install a time service: `apt-get install systemd-timesyncd` or chrony."
STA_UNSYNC = 0x40


async def check(host: Host) -> Finding:
    """A possible date, and a source that keeps it right."""
    now = datetime.fromtimestamp(host.now_s(), tz=UTC)
    if now < NO_EARLIER_THAN:
        return Finding(name="clock", status=Status.FAIL, says=f"it shows {now:%Y-%m-%d}, which is past", fix=FIX)
    match host.ntp_synchronised():
        case True:
            return Finding(name="clock", status=Status.OK, says="synchronised")
        case False:
            return Finding(
                name="clock",
                status=Status.WARN,
                says="the kernel knows of no time source that keeps it right",
                fix=FIX,
            )
        case None:
            return Finding(name="clock", status=Status.OK, says="plausible; whether it is kept right can't be told")


def kernel_synchronised() -> bool | None:
    """Whether a time service disciplines the kernel's clock, for Host.ntp_synchronised; asking changes nothing."""
    if sys.platform != "linux":
        return None
    timex = (ctypes.c_int * 64)()  # struct timex, larger than any; all zero means: only tell
    if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex)) < 0:
        return None
    words_of_long = ctypes.sizeof(ctypes.c_long) // ctypes.sizeof(ctypes.c_int)
    status = timex[5 * words_of_long]  # after modes (padded to a long), offset, freq, maxerror, esterror
    return not status & STA_UNSYNC
