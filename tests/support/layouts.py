"""The seeds' own layouts on a disk, made from their texts."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

TELEGRAM = "123456789:ABCdefGhIJKlmNoPQRsTUVwxyZ0123456789a"
ANTHROPIC = "sk-ant-api03-0123456789abcdefghij"
OPENAI = "sk-proj-0123456789abcdefghijABCDEF"
TEAMS_PASSWORD = "teams~Passw0rd~0123456789"
SECRETS = (TELEGRAM, ANTHROPIC, OPENAI, TEAMS_PASSWORD)

MARCOBY_COMPOSE = """\
services:
  openclaw:
    image: marcoby-ops:latest # Your built image
    restart: always
    environment:
      # Tell OpenClaw to look for data in /data
      OPENCLAW_CONFIG_DIR: /data/.openclaw
      OPENCLAW_WORKSPACE_DIR: /data/workspace

      # Load keys from .env
      MSTEAMS_APP_ID: ${MSTEAMS_APP_ID}
      MSTEAMS_APP_PASSWORD: ${MSTEAMS_APP_PASSWORD}
      MSTEAMS_TENANT_ID: ${MSTEAMS_TENANT_ID}
      COMPANY_NAME: ${COMPANY:-Alpha} Ltd

    volumes:
      - ./persistence:/data

    ports:
      - "${PORT}:18789"
"""
MARCOBY_ENV = f"""\
# Keys (Azure, OpenAI, etc.)
PORT=19001
MSTEAMS_APP_ID=0f0f0f0f-1111-2222-3333-444444444444
MSTEAMS_APP_PASSWORD={TEAMS_PASSWORD}
MSTEAMS_TENANT_ID=99999999-1111-2222-3333-444444444444

export OPENAI_API_KEY="{OPENAI}"
UNUSED=1
"""


def write(path: Path, content: str | bytes | dict[str, Any]) -> Path:
    """A file, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = json.dumps(content) if isinstance(content, dict) else content
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def openclaw_config(**more: Any) -> dict[str, Any]:
    """What such an installation has in its openclaw.json."""
    return {
        "gateway": {"mode": "local", "auth": {"mode": "token", "token": "the-old-gateways-own-token"}},
        "agents": {"defaults": {"workspace": "~/.openclaw/workspace", "model": {"primary": "openai/gpt-5.4"}}},
        **more,
    }


def marcoby(root: Path, name: str = "client-alpha", *, config: dict[str, Any] | None = None) -> Path:
    """One client's folder."""
    unit = root / name
    write(unit / "docker-compose.yml", MARCOBY_COMPOSE)
    write(unit / ".env", MARCOBY_ENV)
    write(unit / "persistence/.openclaw/openclaw.json", config if config is not None else openclaw_config())
    write(unit / "persistence/workspace/SOUL.md", "# Alpha\n")
    write(unit / "persistence/workspace/knowledge/sops.md", "Always greet.\n")
    (unit / "persistence/workspace/latest.md").symlink_to("knowledge/sops.md")
    return unit


def ocmt(root: Path, *users: str) -> Path:
    """The agent server's DATA_DIR."""
    for user in users or ("5f3c2a1e-0d4b-4c6a-9e8f-112233445566",):
        write(root / user / ".openclaw/openclaw.json", openclaw_config(channels={"telegram": {"botToken": TELEGRAM}}))
        write(root / user / ".openclaw/agents/main/agent/openclaw-agent.sqlite", b"SQLite format 3\0")
        write(root / user / "workspace/MEMORY.md", "likes tea\n")
    return root


def zeptoclaw(root: Path, *names: str) -> Path:
    """The folder with compose file and tenants, and beside it `volumes/`."""
    services = []
    for name in names or ("shop-ahmad", "shop-fatimah"):
        write(
            root / f"zeptoclaw/tenants/{name}/config.json",
            {
                "agents": {
                    "defaults": {"workspace": "/data/workspace", "model": "claude-sonnet-4-6", "max_tokens": 4096}
                },
                "providers": {"anthropic": {"api_key": ANTHROPIC}},
                "channels": {"telegram": {"enabled": True, "token": TELEGRAM, "allow_from": ["ahmad"]}},
            },
        )
        write(root / f"volumes/zeptoclaw_{name}-data/_data/workspace/notes.md", f"{name} sells cloth\n")
        write(root / f"volumes/zeptoclaw_{name}-data/_data/.zeptoclaw/sessions/one.json", "{}")
        services.append(f"""\
  tenant-{name}:
    <<: *defaults
    container_name: zc-{name}
    volumes:
      - ./tenants/{name}/config.json:/data/config.json:ro
      - {name}-data:/data
    deploy:
      resources:
        limits: {{memory: 256M, cpus: "0.5"}}
""")
    text = "x-defaults: &defaults\n  image: zeptoclaw:latest\n  restart: unless-stopped\nservices:\n" + "".join(
        services
    )
    write(root / "zeptoclaw/docker-compose.multi-tenant.yml", text)
    return root / "zeptoclaw"


def startclaw(root: Path, name: str = "user1") -> Path:
    """A volume's folder, as Docker has it."""
    home = root / f"{name}/_data"
    write(
        home / "config/openclaw.json",
        openclaw_config(
            env={"ANTHROPIC_API_KEY": ANTHROPIC},
            agents={"defaults": {"model": {"primary": "anthropic/claude-sonnet-4-6"}}},
            channels={"telegram": {"enabled": True, "botToken": TELEGRAM, "dmPolicy": "open"}},
        ),
    )
    for part in ("MEMORY.md", "SOUL.md", "memory/2026-02-08.md"):
        write(home / "workspace" / part, part)
    write(home / "state/sessions/abc.jsonl", '{"type":"session"}\n')
    write(home / "credentials/secrets.enc", b"\x00\x01")
    return home


def workforce(root: Path, *uuids: str) -> Path:
    """TENANT_DATA_DIR."""
    for uuid in uuids or ("3f2504e0-4f89-41d3-9a0c-0305e82c3301",):
        sessions = root / uuid / "agents/sales/sessions"
        session = "11111111-2222-4333-8444-555555555555"
        write(sessions / "sessions.json", {"agent:sales:main": {"sessionId": session, "updatedAt": 1_795_000_000_000}})
        write(sessions / f"{session}.jsonl", TRANSCRIPT)
        write(root / uuid / "config.json", {"plan": "pro", "company": "Acme"})
        write(root / uuid / "workspace/IDENTITY.md", "I am the sales agent of Acme.\n")
    return root


TRANSCRIPT = "\n".join(
    json.dumps(line)
    for line in (
        {"type": "session", "version": 3, "id": "11111111-2222-4333-8444-555555555555",
         "timestamp": "2026-11-01T10:00:00.000Z", "cwd": "/data/workspace"},
        {"type": "message", "id": "a1", "parentId": None, "timestamp": "2026-11-01T10:00:01.000Z",
         "message": {"role": "user", "content": [{"type": "text", "text": "My number is 4711."}],
                     "timestamp": 1_761_991_201_000}},
    )
) + "\n"  # fmt: skip


def tarred(folder: Path, to: Path, *, under: str = ".") -> Path:
    """As `tar -czf` makes it of a folder."""
    with tarfile.open(to, "w:gz") as tar:
        tar.add(folder, arcname=under)
    return to
