"""Each seed's own layout, read as what it would become."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from innkeeper.agents import AGENTS
from innkeeper.core.adoption import Adoption, Asked, Becomes, Seed, name_from, without_ending
from innkeeper.core.errors import Invalid
from innkeeper.core.import_errors import ArchiveRefused, ImportTooLarge, SourceForbidden, SourceMissing
from innkeeper.core.references import references
from innkeeper.core.release import Release
from innkeeper.core.specs import new_spec
from innkeeper.core.tenant import Spec
from innkeeper.units.archive import Caps
from innkeeper.units.importers.finding import adoptions, sources
from innkeeper.units.opening import tree_at
from innkeeper.units.source_paths import Premises
from tests.support import layouts
from tests.support.house import TurnedClock
from tests.support.layouts import ANTHROPIC, OPENAI, SECRETS, TEAMS_PASSWORD, TELEGRAM

LLAMA = {"id": "llama-4"}
CAPS = Caps(entries=1000, bytes=1 << 30)


def looked(tmp_path: Path, seed: Seed, path: Path, caps: Caps = CAPS, **more: Any) -> list[Adoption]:
    """What the source becomes; and nothing of it has changed."""
    (tmp_path / "data").mkdir(exist_ok=True)
    asked = Asked(seed=seed, path=str(path), **more)
    before = listing(path)
    with tree_at(asked, Premises(data=tmp_path / "data"), caps) as tree:
        found = adoptions(sources(tree, asked, AGENTS), seed)
    assert listing(path) == before
    for each in found:
        assert not any(secret in repr(each) for secret in SECRETS)
    return found


def listing(path: Path) -> list[tuple[str, int, int]]:
    """Everything below, with its size and when it changed."""
    return sorted((str(each), each.lstat().st_size, each.lstat().st_mtime_ns) for each in (path, *path.rglob("*")))


def spec(adoption: Adoption) -> Spec:
    """The spec that it makes, as it is checked for any tenant."""
    agent = AGENTS[adoption.agent]
    version = agent.minimum_version or "1"
    release = Release(
        agent=agent.name, version=version, image="sha256:0", source="", size_mb=0, created_at=TurnedClock().now()
    )
    made = new_spec(agent, release, adoption.patch, domain="localhost")
    assert references(made.config) <= set(adoption.secrets)
    return made


def went(adoption: Adoption, source: str) -> str | None:
    """Where one place goes."""
    return adoption.targets[source]


def becomes(adoption: Adoption, name: str) -> tuple[Becomes, str]:
    """What a value turns into."""
    return next((each.becomes, each.target) for each in adoption.values if each.name == name)


def config(adoption: Adoption) -> dict[str, Any]:
    """The config as it is written."""
    written: dict[str, Any] = json.loads(adoption.written[".openclaw/openclaw.json"])
    return written


def says(texts: Sequence[str], part: str) -> bool:
    """Whether one of them speaks of it."""
    return any(part in text for text in texts)


# --- Marcoby ----------------------------------------------------------------------------------------------------------


def test_marcobys_folder(tmp_path: Path) -> None:
    (found,) = looked(tmp_path, Seed.MARCOBY, layouts.marcoby(tmp_path))
    assert (found.key, found.name, found.agent, found.refusals) == ("client-alpha", "client-alpha", "openclaw", ())
    assert went(found, "persistence") == ""
    assert went(found, "docker-compose.yml") is None
    assert found.secrets == {"MSTEAMS_APP_PASSWORD": TEAMS_PASSWORD, "OPENAI_API_KEY": OPENAI}
    assert becomes(found, "MSTEAMS_APP_PASSWORD") == (Becomes.SECRET, "MSTEAMS_APP_PASSWORD")
    assert becomes(found, "PORT")[0] is Becomes.IGNORED
    assert becomes(found, "UNUSED")[0] is Becomes.IGNORED
    assert becomes(found, "OPENCLAW_CONFIG_DIR")[0] is Becomes.IGNORED
    made = spec(found)
    assert made.env == {"COMPANY_NAME": "Alpha Ltd"}
    teams = made.config["channels"]["msteams"]
    assert (teams["appPassword"], teams["enabled"]) == ("${secret:MSTEAMS_APP_PASSWORD}", True)
    assert made.inbox[0].path == "/api/messages"
    assert made.uses.providers["openai"].keys == ("${secret:OPENAI_API_KEY}",)
    assert made.uses.providers["openai"].models[0] == "gpt-5.4"
    assert "gateway" not in config(found)
    assert "model" not in config(found)["agents"]["defaults"]
    assert "workspace" not in config(found)["agents"]["defaults"]


def test_marcobys_master_folder_and_its_backups(tmp_path: Path) -> None:
    for name in ("client-alpha", "client-beta"):
        layouts.marcoby(tmp_path / "instances", name)
    found = looked(tmp_path, Seed.MARCOBY, tmp_path / "instances")
    assert [each.name for each in found] == ["client-alpha", "client-beta"]
    (one,) = looked(tmp_path, Seed.MARCOBY, tmp_path / "instances", only="client-beta", name="beta")
    assert (one.key, one.name) == ("client-beta", "beta")
    with pytest.raises(Invalid, match="2 units"):
        looked(tmp_path, Seed.MARCOBY, tmp_path / "instances", name="one")
    backup = layouts.tarred(
        tmp_path / "instances/client-alpha", tmp_path / "client-alpha-backup.tar.gz", under="client-alpha"
    )
    (packed,) = looked(tmp_path, Seed.MARCOBY, backup)
    assert (packed.key, packed.secrets) == ("client-alpha", found[0].secrets)


@pytest.mark.parametrize(
    ("compose", "named"),
    [
        ("    privileged: true\n", "privileged"),
        ("    network_mode: host\n", "network_mode: host"),
        ("    pid: host\n", "pid: host"),
        ("    ipc: 'container:other'\n", "ipc: container:other"),
        ("    cap_add: [SYS_ADMIN]\n", "cap_add"),
        ("    devices: ['/dev/kvm:/dev/kvm']\n", "devices"),
        ("    security_opt: ['seccomp:unconfined']\n", "seccomp:unconfined"),
        ("    volumes: ['./persistence:/data', '/var/run/docker.sock:/var/run/docker.sock']\n", "Docker socket"),
        ("    volumes: ['./persistence:/data', '/etc:/etc/host:ro']\n", "/etc"),
        ("    volumes: ['./persistence:/data', '../client-beta/persistence:/data/other']\n", "client-beta"),
        ("    volumes: ['./persistence:/data', 'cache:/data/cache']\n", "cache"),
        ("    extends: {file: other.yml, service: x}\n", "extends"),
        ("    env_file: ../secrets.env\n", "secrets.env"),
        ("    network_mode: ${NET:-host}\n", "network_mode: host"),
        ("    networks: [outer]\nnetworks:\n  outer: {external: true, name: host}\nx-rest:\n", "networks: outer"),
        ("    deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}\n", "reservations.devices"),
        ("    use_api_socket: true\n", "use_api_socket"),
    ],
)
def test_what_a_compose_file_cant_bring_along_is_refused_by_name(compose: str, named: str, tmp_path: Path) -> None:
    unit = layouts.marcoby(tmp_path)
    text = layouts.MARCOBY_COMPOSE
    if "volumes" in compose:
        text = text.replace("    volumes:\n      - ./persistence:/data\n", compose)
    else:
        text = text.replace("    restart: always\n", compose)
    layouts.write(unit / "docker-compose.yml", text)
    (found,) = looked(tmp_path, Seed.MARCOBY, unit)
    assert says(found.refusals, named), found.refusals


def test_other_images_are_named(tmp_path: Path) -> None:
    unit = layouts.marcoby(tmp_path)
    layouts.write(
        unit / "docker-compose.yml",
        layouts.MARCOBY_COMPOSE + "  db:\n    image: postgres:16\n    volumes: ['./pg:/var']\n",
    )
    (found,) = looked(tmp_path, Seed.MARCOBY, unit)
    assert says(found.refusals, "db (postgres:16)")
    (left,) = looked(tmp_path, Seed.MARCOBY, unit, leave_out=True)
    assert not left.refusals
    assert says(left.notes, "db (postgres:16)")
    layouts.write(
        unit / "docker-compose.yml", "services:\n  app:\n    image: nginx\n    volumes: ['./persistence:/data']\n"
    )
    (strange,) = looked(tmp_path, Seed.MARCOBY, unit)
    assert says(strange.refusals, "app (nginx)")
    assert not says(strange.refusals, "half copied"), "it is there, and was read"


@pytest.mark.parametrize(
    "volumes",
    [
        "[{type: bind, source: persistence, target: /data}, {type: tmpfs, target: /tmp}]",
        "['${PWD}/persistence:/data:rw']",
        "['/data/marcoby-instances/client-alpha/persistence:/data']",
        "['${ROOT:-.}/persistence/:/data/']",
        "['./persistence/.openclaw:/home/node/.openclaw', './persistence/workspace:/home/node/.openclaw/workspace']",
    ],
)
def test_a_units_data_are_found_however_they_are_mounted(volumes: str, tmp_path: Path) -> None:
    unit = layouts.marcoby(tmp_path)
    text = layouts.MARCOBY_COMPOSE.replace("volumes:\n      - ./persistence:/data\n", f"volumes: {volumes}\n")
    layouts.write(unit / "docker-compose.yml", text)
    (found,) = looked(tmp_path, Seed.MARCOBY, unit)
    assert found.refusals == ()
    assert went(found, "persistence/.openclaw/openclaw.json") is None, "its keys aren't copied with it"
    assert went(found, "persistence/workspace") == "workspace"
    assert "gateway" not in config(found)


def test_data_that_are_called_otherwise_are_read_all_the_same(tmp_path: Path) -> None:
    unit = layouts.marcoby(tmp_path, config=layouts.openclaw_config(channels={"telegram": {"botToken": TELEGRAM}}))
    (unit / "persistence").rename(unit / "data")
    (unit / "data/workspace").rename(unit / "data/brain")
    text = layouts.MARCOBY_COMPOSE.replace("./persistence:", "./data:").replace("/data/workspace", "/data/brain")
    layouts.write(unit / "docker-compose.yml", text)
    (found,) = looked(tmp_path, Seed.MARCOBY, unit)
    assert found.refusals == ()
    assert (went(found, "data"), went(found, "data/brain")) == ("", "workspace")
    assert found.secrets["TELEGRAM_BOT_TOKEN"] == TELEGRAM
    assert "gateway" not in config(found)


def test_variables_come_from_where_compose_has_them(tmp_path: Path) -> None:
    unit = layouts.marcoby(tmp_path)
    files = "    env_file: [.env, ./agent.env, {path: ./maybe.env, required: false}]\n    restart: always\n"
    layouts.write(unit / "docker-compose.yml", layouts.MARCOBY_COMPOSE.replace("    restart: always\n", files))
    layouts.write(
        unit / ".env",
        "\ufeffMARK=x\r\nexport TONE='${MARK} $5'\r\nHOST_A=a.example # here\r\nURL=https://${HOST_A}/${NO:-v1}?$x\r\n",
    )
    layouts.write(unit / "agent.env", f"MARK=y\nBRAVE_API_KEY={ANTHROPIC}\n")
    (found,) = looked(tmp_path, Seed.MARCOBY, unit)
    assert found.refusals == ()
    assert spec(found).env == {
        "MARK": "y", "TONE": "${MARK} $5", "HOST_A": "a.example", "URL": "https://a.example/v1?$x",
        "COMPANY_NAME": "Alpha Ltd",
    }  # fmt: skip
    assert found.secrets == {"BRAVE_API_KEY": ANTHROPIC}
    said = {each.name: each.source for each in found.values}
    assert (said["URL"], said["BRAVE_API_KEY"], said["COMPANY_NAME"]) == (".env", "agent.env", "the compose file")
    assert went(found, "agent.env") is None
    (unit / "agent.env").unlink()
    assert says(looked(tmp_path, Seed.MARCOBY, unit)[0].refusals, "agent.env: half copied")


def test_anchors_are_read_and_bombs_of_them_are_not(tmp_path: Path) -> None:
    unit = layouts.marcoby(tmp_path)
    anchored = layouts.MARCOBY_COMPOSE.replace(
        "services:\n", "x-all: &all\n  mem_limit: 4g\n  cpus: 1.5\nservices:\n", 1
    )
    layouts.write(unit / "docker-compose.yml", anchored.replace("    restart: always\n", "    <<: *all\n"))
    (found,) = looked(tmp_path, Seed.MARCOBY, unit)
    assert (spec(found).limits.memory_mb, spec(found).limits.cpus) == (4096, 1.5)
    laughs = "a0: &a0 {k: v}\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
    for bomb in (laughs, "a: &a [*a]\n", "a: &a {<<: *a}\n", "[" * 50_000, "a: !!python/object:os.system x\n"):
        layouts.write(unit / "docker-compose.yml", bomb + layouts.MARCOBY_COMPOSE)
        (found,) = looked(tmp_path, Seed.MARCOBY, unit)
        assert says(found.refusals, "docker-compose.yml"), bomb[:30]


def test_a_broken_env_is_told_by_its_line_and_never_quoted(tmp_path: Path) -> None:
    unit = layouts.marcoby(tmp_path)
    layouts.write(unit / ".env", f"A=1\n\n# fine\n{OPENAI}\nB='{TELEGRAM}\n=\nC=2\n")
    (found,) = looked(tmp_path, Seed.MARCOBY, unit)
    assert says(found.refusals, ".env, line 4")
    assert not any(secret in text for text in found.refusals for secret in SECRETS)
    layouts.write(unit / ".env", b"A=1\nB=\xff\xfe\n")
    assert says(looked(tmp_path, Seed.MARCOBY, unit)[0].refusals, ".env, line 2")


def test_half_copied_units_are_told(tmp_path: Path) -> None:
    unit = layouts.marcoby(tmp_path)
    (unit / "docker-compose.yml").unlink()
    assert says(looked(tmp_path, Seed.MARCOBY, unit)[0].refusals, "half copied")
    (partial,) = looked(tmp_path, Seed.MARCOBY, unit, partial=True)
    assert not partial.refusals
    assert went(partial, "persistence") == ""
    other = layouts.marcoby(tmp_path, "client-beta")
    (other / "persistence").rename(tmp_path / "elsewhere")
    assert says(looked(tmp_path, Seed.MARCOBY, other)[0].refusals, "persistence: half copied")


# --- OCMT, StartClaw, Workforce ---------------------------------------------------------------------------------------


def test_ocmts_data_folders(tmp_path: Path) -> None:
    users = ("5f3c2a1e-0d4b-4c6a-9e8f-112233445566", "Jörg Müller@example.com", "42")
    found = looked(tmp_path, Seed.OCMT, layouts.ocmt(tmp_path / "ocmt", *users))
    assert {each.key: each.name for each in found} == {
        "42": "42", users[0]: users[0], users[1]: "jorg-muller-example-com",
    }  # fmt: skip
    first = found[0]
    assert went(first, "42") == ""
    assert first.secrets == {"TELEGRAM_BOT_TOKEN": TELEGRAM}
    assert spec(first).config == {"channels": {"telegram": {"botToken": "${secret:TELEGRAM_BOT_TOKEN}"}}}
    assert config(first)["channels"] == {"telegram": {}}
    assert (spec(first).sleep.pause_after_s, spec(first).sleep.stop_after_s) == (1800, 16200)
    state = tmp_path / "bare/u1"
    layouts.write(state / "openclaw.json", {})
    layouts.write(state / "workspace/a.md", "a")
    (bare,) = looked(tmp_path, Seed.OCMT, tmp_path / "bare/u1")
    assert (went(bare, ""), went(bare, "workspace")) == (".openclaw", "workspace")


def test_startclaws_volume_and_its_nightly_tarball(tmp_path: Path) -> None:
    home = layouts.startclaw(tmp_path)
    (found,) = looked(tmp_path, Seed.STARTCLAW, home)
    assert (found.name, found.refusals) == ("user1", ())
    assert went(found, "workspace") == "workspace"
    assert went(found, "state/sessions") == ".openclaw/agents/main/sessions"
    assert found.secrets == {"ANTHROPIC_API_KEY": ANTHROPIC, "TELEGRAM_BOT_TOKEN": TELEGRAM}
    assert spec(found).uses.providers["anthropic"].models[0] == "claude-sonnet-4-6"
    assert config(found)["channels"]["telegram"] == {"enabled": True, "dmPolicy": "open"}
    (packed,) = looked(tmp_path, Seed.STARTCLAW, layouts.tarred(home, tmp_path / "user1-2026-02-08.tar.gz"))
    assert (packed.name, packed.secrets, packed.targets) == ("user1", found.secrets, found.targets)
    assert [each.name for each in looked(tmp_path, Seed.STARTCLAW, home.parent)] == ["user1"], "not _data"
    layouts.startclaw(tmp_path / "volumes", "user2")
    layouts.startclaw(tmp_path / "volumes", "user3")
    assert [each.name for each in looked(tmp_path, Seed.STARTCLAW, tmp_path / "volumes")] == ["user2", "user3"]
    (home / "config/openclaw.json").unlink()
    assert says(looked(tmp_path, Seed.STARTCLAW, home)[0].refusals, "config/openclaw.json")


def test_workforces_trees(tmp_path: Path) -> None:
    root = layouts.workforce(
        tmp_path / "tenants", "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "B2504E0F-4F89-41D3-9A0C-0305E82C3302"
    )
    first, second = looked(tmp_path, Seed.WORKFORCE, root)
    assert (first.name, second.name) == (first.key, second.key.lower())
    assert went(first, first.key) == ".openclaw"
    assert went(first, f"{first.key}/workspace") == "workspace"
    assert went(first, f"{first.key}/config.json") is None
    assert json.loads(first.written["workforce/config.json"]) == json.loads(
        (root / first.key / "config.json").read_text()
    )
    layouts.write(root / second.key / "config.json", {"plan": "pro", "composio": {"api_key": ANTHROPIC}})
    (keyed,) = looked(tmp_path, Seed.WORKFORCE, root / second.key)
    assert keyed.secrets == {"COMPOSIO_API_KEY": ANTHROPIC}
    assert json.loads(keyed.written["workforce/config.json"]) == {"plan": "pro", "composio": {}}
    assert config(first)["agents"]["entries"] == {"sales": {"workspace": "/data/workspace"}}
    backup = layouts.tarred(tmp_path / "tenants", tmp_path / "tenants-backup-20261101.tar.gz", under="data/tenants")
    assert [each.name for each in looked(tmp_path, Seed.WORKFORCE, backup)] == [first.name, second.name]
    (one,) = looked(tmp_path, Seed.WORKFORCE, root / first.key)
    assert one.name == first.name


# --- ZeptoClaw --------------------------------------------------------------------------------------------------------


def test_zeptoclaws_tenants_and_their_volumes(tmp_path: Path) -> None:
    root = layouts.zeptoclaw(tmp_path)
    ahmad, fatimah = looked(tmp_path, Seed.ZEPTOCLAW, root, agent="nanobot", volumes=str(tmp_path / "volumes"))
    assert (ahmad.name, fatimah.name, ahmad.refusals) == ("shop-ahmad", "shop-fatimah", ())
    assert went(ahmad, ".volumes/shop-ahmad") == ""
    assert ahmad.secrets == {"ANTHROPIC_API_KEY": ANTHROPIC, "TELEGRAM_BOT_TOKEN": TELEGRAM}
    made = spec(ahmad)
    assert made.uses.providers["anthropic"].models[0] == "claude-sonnet-4-6"
    assert made.config == {"channels": {"telegram": {"token": "${secret:TELEGRAM_BOT_TOKEN}", "enabled": True}}}
    assert (made.limits.memory_mb, made.limits.cpus) == (256, 0.5)
    kept = json.loads(ahmad.written[".zeptoclaw/config.json"])
    assert kept["providers"] == {"anthropic": {}}
    assert kept["agents"]["defaults"]["max_tokens"] == 4096


def test_zeptoclaws_backups_serve_as_volumes_and_a_missing_one_is_told(tmp_path: Path) -> None:
    root = layouts.zeptoclaw(tmp_path, "shop-ali")
    backups = tmp_path / "backups/2026-11-01"
    backups.mkdir(parents=True)
    volume = tmp_path / "volumes/zeptoclaw_shop-ali-data/_data"
    layouts.tarred(volume, backups / "shop-ali.tar.gz")
    (found,) = looked(tmp_path, Seed.ZEPTOCLAW, root / "tenants", agent="nanobot", volumes=str(backups))
    assert not found.refusals
    assert next(move for move in found.moves if move.target == "").files == 2
    (lost,) = looked(tmp_path, Seed.ZEPTOCLAW, root, agent="nanobot", volumes=str(tmp_path / "nowhere"))
    assert says(lost.refusals, "shop-ali-data")


def test_zeptoclaws_compose_file_is_held_to_the_same(tmp_path: Path) -> None:
    root = layouts.zeptoclaw(tmp_path, "shop-ali")
    compose = root / "docker-compose.multi-tenant.yml"
    compose.write_text(compose.read_text().replace("    container_name", "    privileged: true\n    container_name"))
    (found,) = looked(tmp_path, Seed.ZEPTOCLAW, root, agent="nanobot", volumes=str(tmp_path / "volumes"))
    assert says(found.refusals, "privileged")


# --- what goes for all ------------------------------------------------------------------------------------------------


def test_other_keys_in_a_config_stay_where_the_agent_needs_them(tmp_path: Path) -> None:
    more = {
        "channels": {"telegram": {"botToken": "${TG}", "accounts": {"work": {"botToken": "222222222:" + "b" * 35}}}},
        "tools": {"web": {"search": {"apiKey": "${OPENAI_API_KEY}"}}},
        "hooks": {"token": "hooks-own-token-1234"},
        "models": {
            "providers": {
                "Local vLLM": {
                    "baseUrl": "http://10.0.0.5:8000/v1",
                    "apiKey": "k-1234567",
                    "models": [{"id": "llama-4"}],
                },
                "odd": {"baseUrl": "http://x", "api": "bedrock-converse-stream"},
            }
        },
    }
    unit = layouts.marcoby(tmp_path, config=layouts.openclaw_config(**more))
    with (unit / ".env").open("a") as env:
        env.write(f"TG={TELEGRAM}\n")
    (found,) = looked(tmp_path, Seed.MARCOBY, unit)
    written = config(found)
    assert found.secrets["TELEGRAM_BOT_TOKEN"] == TELEGRAM
    assert found.secrets["TELEGRAM_WORK_BOT_TOKEN"].startswith("222222222:")
    assert written["tools"]["web"]["search"]["apiKey"] == OPENAI
    assert becomes(found, "tools.web.search.apiKey")[0] is Becomes.KEPT
    assert becomes(found, "hooks.token")[0] is Becomes.KEPT
    assert becomes(found, "TG") == (Becomes.SECRET, "TELEGRAM_BOT_TOKEN")
    assert list(written["models"]["providers"]) == ["odd"]
    assert spec(found).uses.providers["local-vllm"].models == ("llama-4",)
    assert next(iter(spec(found).uses.providers)) == "openai"


def test_configs_with_comments_are_read_and_broken_ones_refused(tmp_path: Path) -> None:
    unit = layouts.marcoby(tmp_path)
    path = unit / "persistence/.openclaw/openclaw.json"
    layouts.write(
        path, '// mine\n{"agents": {"list": [{"id": "a",},], /* x */ "defaults": {"note": "// no, \\" text"}}}\n'
    )
    (found,) = looked(tmp_path, Seed.MARCOBY, unit)
    assert config(found)["agents"]["defaults"]["note"] == '// no, " text'
    for broken in ("{'a': 1}", '{"a": ', '{"a": "' + "\\" * 3, "/*" * 200_000, "[" * 10_000, "[]"):
        layouts.write(path, broken)
        assert says(looked(tmp_path, Seed.MARCOBY, unit)[0].refusals, "openclaw.json"), broken[:20]


def test_paths_of_the_old_home_become_those_of_the_new(tmp_path: Path) -> None:
    listed = {"agents": {"list": [{"id": "a", "workspace": "/home/node/.openclaw/workspace/a"}]}, "x": "~/.openclaw/y"}
    (found,) = looked(tmp_path, Seed.MARCOBY, layouts.marcoby(tmp_path, config=listed))
    assert config(found)["agents"]["list"][0]["workspace"] == "/data/workspace/a"
    assert config(found)["x"] == "/data/.openclaw/y"


def test_what_isnt_taken_is_listed(tmp_path: Path) -> None:
    unit = layouts.marcoby(tmp_path)
    layouts.write(unit / "notes/todo.txt", "x")
    os.mkfifo(unit / "persistence/pipe")
    (unit / "persistence/out").symlink_to("/etc/passwd")
    (found,) = looked(tmp_path, Seed.MARCOBY, unit)
    assert went(found, "notes") is None
    assert says(found.notes, "persistence/out")
    assert says(found.notes, "persistence/pipe")


def test_names(tmp_path: Path) -> None:
    assert name_from("Shop_Ahmad #1") == "shop-ahmad-1"
    assert name_from("北京") == ""
    assert name_from("x" * 60) == "x" * 40
    assert without_ending("alice-2026-02-08.tar.gz") == "alice"
    assert without_ending("alice-backup.tgz") == "alice"
    assert without_ending("2026-02-08.tar") == "2026-02-08"
    for name in ("Ann", "ann"):
        layouts.marcoby(tmp_path / "two", name)
    for each in looked(tmp_path, Seed.MARCOBY, tmp_path / "two"):
        assert says(each.refusals, "becomes ann")
    (nameless,) = looked(tmp_path, Seed.MARCOBY, layouts.marcoby(tmp_path, "北京"))
    assert says(nameless.refusals, "--as")


def test_sources_that_are_none(tmp_path: Path) -> None:
    data = tmp_path / "data"
    layouts.write(data / "tenants/a/persistence/x", "x")
    (tmp_path / "link").symlink_to(data / "tenants/a")
    for path in (
        data,
        data / "tenants/a",
        tmp_path,
        Path("/"),
        tmp_path / "link",
        Path("/proc/self"),
        Path("/proc/1/environ"),
    ):
        with pytest.raises(SourceForbidden):
            looked_at(tmp_path, path)
    for path in (tmp_path / "nowhere", Path("relative"), Path("/etc/hostname/x")):
        with pytest.raises(SourceMissing):
            looked_at(tmp_path, path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceMissing, match="no unit of marcoby"):
        looked_at(tmp_path, tmp_path / "empty")
    unit = layouts.marcoby(tmp_path / "in")
    with pytest.raises(SourceForbidden, match="below"):
        looked_at(tmp_path, unit, roots=[tmp_path / "elsewhere"])
    looked_at(tmp_path, unit, roots=[tmp_path / "in"])
    with pytest.raises(ImportTooLarge):
        looked_at(tmp_path, unit, caps=Caps(entries=3))


def looked_at(tmp_path: Path, path: Path, *, roots: list[Path] | None = None, caps: Caps = CAPS) -> None:
    """Just that."""
    (tmp_path / "data").mkdir(exist_ok=True)
    asked = Asked(seed=Seed.MARCOBY, path=str(path))
    with tree_at(asked, Premises(data=tmp_path / "data", roots=roots), caps) as tree:
        sources(tree, asked, AGENTS)


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root")
def test_a_device_in_a_folder_is_refused(tmp_path: Path) -> None:
    unit = layouts.marcoby(tmp_path)
    os.mknod(unit / "persistence/null", 0o600 | 0o020000, os.makedev(1, 3))
    with pytest.raises(ArchiveRefused, match="device"):
        looked(tmp_path, Seed.MARCOBY, unit)
