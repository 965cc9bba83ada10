"""A library that misbehaves within the control plane: Python runs this first where PYTHONPATH leads here.

It quotes a secret wherever a library could: in a log line, a warning, an exception that nobody takes.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import warnings


def _quote_it() -> None:
    while not logging.getLogger().handlers or sys.excepthook is sys.__excepthook__:
        time.sleep(0.05)
    time.sleep(0.5)  # until it serves
    secrets = f"{os.environ['OPENAI_API_KEY']} {os.environ['INNKEEPER_JWT_SECRET']!r}"
    logging.getLogger("saboteur").warning("a log line with %s", secrets, extra={"headers": {"x": [secrets.encode()]}})
    logging.getLogger("saboteur").warning("a bad log line %d", secrets)
    warnings.warn(f"a warning of {secrets}", stacklevel=1)
    raise ValueError(f"an error over {secrets}")


if sys.orig_argv[-1] == "serve":
    threading.Thread(target=_quote_it, daemon=True).start()
