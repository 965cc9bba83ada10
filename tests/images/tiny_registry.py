"""An image registry in a few lines: one image of one empty layer, for the Engine to pull from the loopback."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile

from starlette.types import Receive, Scope, Send

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class TinyRegistry:
    """The ASGI application: serves `repository:tag` and remembers which paths were asked for."""

    def __init__(self, *, repository: str, tag: str, marker: str) -> None:
        tree = io.BytesIO()
        with tarfile.open(fileobj=tree, mode="w") as tar:
            entry = tarfile.TarInfo(marker)
            tar.addfile(entry)
        layer = gzip.compress(tree.getvalue(), mtime=0)
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"User": "1000:1000", "Cmd": ["/nothing"]},
                "rootfs": {"type": "layers", "diff_ids": [_digest(tree.getvalue())]},
            }
        ).encode()
        kinds = [("vnd.docker.container.image.v1+json", config), ("vnd.docker.image.rootfs.diff.tar.gzip", layer)]
        described = [
            {"mediaType": f"application/{kind}", "size": len(blob), "digest": _digest(blob)} for kind, blob in kinds
        ]
        manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": described[0], "layers": described[1:]}
        self._manifest = json.dumps(manifest).encode()
        self.digest = _digest(self._manifest)
        self._files = {
            "/v2/": b"{}",
            f"/v2/{repository}/manifests/{tag}": self._manifest,
            f"/v2/{repository}/manifests/{self.digest}": self._manifest,
            **{f"/v2/{repository}/blobs/{_digest(blob)}": blob for _, blob in kinds},
        }
        self.asked: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(scope["path"])
        content = self._files.get(scope["path"])
        headers = [(b"docker-distribution-api-version", b"registry/2.0")]
        if content is not None:
            kind = _MANIFEST.encode() if content == self._manifest else b"application/octet-stream"
            headers += [
                (b"content-type", kind),
                (b"content-length", str(len(content)).encode()),
                (b"docker-content-digest", _digest(content).encode()),
            ]
        await send({"type": "http.response.start", "status": 404 if content is None else 200, "headers": headers})
        body = b"" if content is None or scope["method"] == "HEAD" else content
        await send({"type": "http.response.body", "body": body})
