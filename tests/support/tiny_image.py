"""A tenant image of two megabytes, built through the Engine from the host's own static busybox.

It serves `/health` as `{"ok":true}` on PORT (8080 by default), writes a line to each of its streams, ends in order at
SIGTERM, and crashes on demand: `run(["crash", "7"])`, `GET /cgi-bin/crash?7`, or EXIT_AT_ONCE=7 in its environment.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import aiodocker

TAG = "innkeeper-test/tiny:1"
PORT = 8080

_DOCKERFILE = """
FROM scratch
COPY root/ /
ENV PATH=/bin
USER 1000:1000
CMD ["/bin/serve"]
"""

_SERVE = """#!/bin/sh
trap 'exit 0' TERM
trap 'exit "$(cat /tmp/exit_code)"' USR1
echo "serving on ${PORT:-8080}"
echo "a word on the other stream" >&2
[ -z "$EXIT_AT_ONCE" ] || exit "$EXIT_AT_ONCE"
echo $$ >/tmp/main
httpd -f -p "${PORT:-8080}" -h /www &
wait
"""

_CRASH = """#!/bin/sh
echo "${1:-1}" >/tmp/exit_code
kill -USR1 "$(cat /tmp/main)"
"""

_CGI_CRASH = """#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\ncrashing\\n'
crash "$QUERY_STRING"
"""


async def tiny_image(docker: aiodocker.Docker) -> str:
    """The ID of the image, which is built where it isn't there yet."""
    await docker.images.build(fileobj=io.BytesIO(_context()), encoding="identity", tag=TAG, rm=True)
    image = await docker.images.inspect(TAG)
    return str(image["Id"])


def _context() -> bytes:
    """The build context: the same bytes each time, so that the Engine's cache answers from the second time on."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise RuntimeError("The tests need a static busybox: apt-get install busybox-static")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        _folder(tar, "root/tmp", mode=0o1777)
        _add(tar, "Dockerfile", _DOCKERFILE.encode())
        _add(tar, "root/bin/busybox", Path(busybox).read_bytes(), mode=0o755)
        for applet in _applets(busybox):
            _link(tar, f"root/bin/{applet}", "busybox")
        _add(tar, "root/bin/serve", _SERVE.encode(), mode=0o755)
        _add(tar, "root/bin/crash", _CRASH.encode(), mode=0o755)
        _add(tar, "root/www/cgi-bin/crash", _CGI_CRASH.encode(), mode=0o755)
        _add(tar, "root/www/health", b'{"ok":true}')
    return buffer.getvalue()


def _applets(busybox: str) -> list[str]:
    listed = subprocess.run([busybox, "--list"], capture_output=True, check=True, text=True).stdout.split()
    return [applet for applet in listed if applet != "busybox"]


def _add(tar: tarfile.TarFile, name: str, content: bytes, *, mode: int = 0o644) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    tar.addfile(member, io.BytesIO(content))


def _link(tar: tarfile.TarFile, name: str, target: str) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    tar.addfile(member)


def _folder(tar: tarfile.TarFile, name: str, *, mode: int) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.mode = tarfile.DIRTYPE, mode
    tar.addfile(member)
