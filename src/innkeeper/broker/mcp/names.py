"""What an agent calls a tool: the server's name and the tool's, in letters that every model's API takes."""

from __future__ import annotations

import hashlib
import re

LONGEST = 48
"""Anthropic's and OpenAI's APIs take names of `[a-zA-Z0-9_-]{1,64}`; agents put up to 14 letters of their own before
them (`mcp_innkeeper_` is nanobot's)."""
BETWEEN = "__"
"""No server's name has an underscore, so that the first of these ends it."""
_HASH_LENGTH = 8
# Some agents turn runs of underscores into one: a name with such a run could become another tool's.
_NATURAL = re.compile(r"[a-zA-Z0-9-]+(?:_[a-zA-Z0-9-]+)*_?")
_STRANGE = re.compile(r"[^a-zA-Z0-9-]+")


def exposed(server: str, tool: str) -> str:
    """`SERVER__TOOL`, or where that can't be a name its like with a hash of the true one at its end; always the same.

    Names of two servers are never equal; two of one server's only where its tools are equal or hashes collide.
    """
    plain = server + BETWEEN + tool
    if len(plain) <= LONGEST and _NATURAL.fullmatch(tool):
        return plain
    digest = hashlib.sha256(tool.encode(errors="surrogatepass")).hexdigest()[:_HASH_LENGTH]
    readable = _STRANGE.sub("_", tool).strip("_")
    room = LONGEST - len(server) - len(BETWEEN) - len("_") - _HASH_LENGTH
    return server + BETWEEN + "_".join(part for part in (readable[:room].strip("_"), digest) if part)
