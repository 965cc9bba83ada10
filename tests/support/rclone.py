"""Real servers of snapshots' far targets, by rclone: S3, restic's own protocol, SFTP; on loopback, over a folder."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RCLONE = Path(sys.executable).with_name("rclone")
KEY, SECRET = "AKIDOFTESTS", "secret-of-the-tests"
_STARTED = re.compile(rb"(?:Starting s3 server|REST API|listening) on \[?(?:http://)?127\.0\.0\.1:(\d+)")


@contextmanager
def serving(protocol: str, folder: Path, *options: str) -> Iterator[int]:
    """The port of a server of the folder, while the block lasts."""
    command = [str(RCLONE), "serve", protocol, "-v", "--config", "/dev/null", "--addr", "127.0.0.1:0", *options]
    server = subprocess.Popen([*command, str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert server.stderr is not None
    try:
        said = b""
        while not (found := _STARTED.search(said)):
            line = server.stderr.readline()
            assert line, said
            said += line
        # What it says further on would block it once the pipe is full.
        threading.Thread(target=server.stderr.read, daemon=True).start()
        yield int(found[1])
    finally:
        server.terminate()
        server.wait()


@contextmanager
def an_s3_server(folder: Path) -> Iterator[int]:
    """One that has the bucket `snapshots`."""
    (folder / "snapshots").mkdir(parents=True)
    with serving("s3", folder, "--auth-key", f"{KEY},{SECRET}") as port:
        yield port
