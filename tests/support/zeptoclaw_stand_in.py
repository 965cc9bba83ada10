"""What stands in for ZeptoClaw, whose binary can't be had here: its config, health and client protocol, as its source
(qhkm/zeptoclaw) has them, and stricter: unknown keys and camelCase end it, which the real one passes over.

`zeptoclaw gateway` reads `~/.zeptoclaw/config.json` with the variables that override it, tells of its health on
ZEPTOCLAW_HEALTH_HOST and _PORT, and answers `POST /acp` with what its provider says. It is Python, so its image is made
from nanobot's.
"""

from __future__ import annotations

import io
import tarfile

import aiodocker

TAG = "innkeeper-test/zeptoclaw:0.9.2"
BASE = "innkeeper/nanobot:0.3.5"

_DOCKERFILE = f"""
FROM {BASE}
USER 0
COPY zeptoclaw /usr/local/bin/zeptoclaw
COPY wget /usr/local/bin/wget
USER 999:999
ENTRYPOINT []
CMD ["zeptoclaw", "--help"]
"""

_WGET = """#!/bin/sh
exec python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1])' "$3"
"""

_ZEPTOCLAW = """#!/usr/bin/env python3
import ipaddress, json, os, re, sys, threading, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

TOP = set("agents channels providers gateway tools memory heartbeat skills runtime container_agent swarm approval "
          "plugins telemetry cost batch hooks safety compaction mcp routines tunnel stripe custom_tools transcription "
          "tool_profiles project cache agent_mode pairing session panel health devices logging r8r_bridge".split())
DEFAULTS = set("workspace model max_tokens temperature max_tool_iterations agent_timeout_secs tool_timeout_secs "
               "message_queue_mode streaming token_budget compact_tools timezone system_prompt".split())


def end(why):
    print(json.dumps({"level": "ERROR", "message": why}), file=sys.stderr, flush=True)
    sys.exit(1)


def snake(tree, path=""):
    if isinstance(tree, dict):
        for key, value in tree.items():
            if re.search("[a-z0-9][A-Z]", key):
                end(f"unknown field {path}{key}")
            snake(value, f"{path}{key}.")


def loaded():
    with open(os.path.join(os.environ["HOME"], ".zeptoclaw", "config.json")) as file:
        config = json.load(file)
    snake(config)
    for unknown in set(config) - TOP or set(config["agents"]["defaults"]) - DEFAULTS:
        end(f"unknown field {unknown}")
    provider = config["providers"].setdefault("openai", {})
    provider["api_base"] = os.environ.get("ZEPTOCLAW_PROVIDERS_OPENAI_API_BASE", provider.get("api_base"))
    provider["api_key"] = os.environ.get("ZEPTOCLAW_PROVIDERS_OPENAI_API_KEY", provider.get("api_key"))
    defaults = config["agents"]["defaults"]
    defaults["model"] = os.environ.get("ZEPTOCLAW_AGENTS_DEFAULTS_MODEL", defaults["model"])
    if not provider["api_key"]:
        end("No AI provider configured.")
    host = urlsplit(provider["api_base"]).hostname or ""
    private = host == "localhost" or host.endswith(".internal")
    try:
        private = private or ipaddress.ip_address(host).is_private
    except ValueError:
        pass
    if private and config.get("safety", {}).get("allow_private_endpoints") is not True:
        end("Invalid endpoint configuration at providers.openai.api_base")
    return config


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def say(self, status, body, kind="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Health(Answers):
    def do_GET(self):
        if self.path in ("/healthz", "/health"):
            self.say(200, b'{"status":"ok","version":"0.9.2"}')
        elif self.path in ("/readyz", "/ready"):
            self.say(200, b'{"status":"ready"}')
        else:
            self.say(404, b"{}")


class Acp(Answers):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/acp" or self.headers["Authorization"] != "Bearer " + HTTP["auth_token"]:
            return self.say(401, b'{"error":"unauthorized"}')
        if body["method"] != "session/prompt":
            return self.say(200, json.dumps({"jsonrpc": "2.0", "id": body["id"], "result": {}}).encode())
        text = "".join(part["text"] for part in body["params"]["prompt"])
        asked = {"model": CONFIG["agents"]["defaults"]["model"], "messages": [{"role": "user", "content": text}]}
        provider = CONFIG["providers"]["openai"]
        request = urllib.request.Request(
            provider["api_base"] + "/chat/completions", json.dumps(asked).encode(),
            {"Authorization": "Bearer " + provider["api_key"], "Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            said = json.load(answer)["choices"][0]["message"]["content"]
        update = {"jsonrpc": "2.0", "method": "session/update", "params": {"update": {"content": {"text": said}}}}
        done = {"jsonrpc": "2.0", "id": body["id"], "result": {"stopReason": "end_turn"}}
        self.say(200, b"".join(b"data: " + json.dumps(each).encode() + b"\\n\\n" for each in (update, done)),
                 "text/event-stream")


if sys.argv[1:] != ["gateway"]:
    end("usage: zeptoclaw gateway")
CONFIG = loaded()
HTTP = CONFIG["channels"]["acp"]["http"]
place = os.environ.get("ZEPTOCLAW_HEALTH_HOST", "127.0.0.1"), int(os.environ.get("ZEPTOCLAW_HEALTH_PORT", "9090"))
health = ThreadingHTTPServer(place, Health)
threading.Thread(target=health.serve_forever, daemon=True).start()
if not HTTP["enabled"]:
    threading.Event().wait()
print(json.dumps({"level": "INFO", "message": "listening"}), flush=True)
ThreadingHTTPServer((HTTP["bind"], HTTP["port"]), Acp).serve_forever()
"""


async def zeptoclaw_image(docker: aiodocker.Docker) -> str:
    """The tag of the stand-in's image, which is built where it isn't there yet; nanobot's has to be."""
    await docker.images.build(fileobj=io.BytesIO(_context()), encoding="identity", tag=TAG, rm=True)
    return TAG


def _context() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text, mode in (
            ("Dockerfile", _DOCKERFILE, 0o644),
            ("zeptoclaw", _ZEPTOCLAW, 0o755),
            ("wget", _WGET, 0o755),
        ):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text.encode()), mode
            tar.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()
