"""How commands end when they can't do what they are asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from starlette.responses import PlainTextResponse

from innkeeper.cli.exits import CODES
from tests.api.bench import Bench
from tests.cli.conftest import Run
from tests.support.serving import serving


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        (("tenant", "show", "nobody"), 3, "unknown_tenant"),
        (("tenant", "show", ".."), 3, "unknown_tenant"),
        (("tenant", "show", "a/b"), 3, "not_found"),
        (("tenant", "show", ""), 3, "not_found"),
        (("tenant", "wake", "nobody"), 3, "unknown_tenant"),
        (("key", "list", "nobody"), 3, "unknown_tenant"),
        (("operation", "show", "nothing"), 3, "unknown_operation"),
        (("tenant", "create", "Alice", "--agent", "plain"), 2, "invalid_name"),
        (("tenant", "create", "alice", "--agent", "skynet"), 2, "unknown_agent"),
        (("tenant", "create", "alice", "--agent", "plain", "--memory-mb", "1"), 2, "invalid_spec"),
        (("tenant", "create", "alice", "--agent", "plain", "--wanted", "gone"), 2, "invalid_request"),
        (("tenant", "create", "alice", "--agent", "plain", "--pause-after", "soon"), 2, "wrong_usage"),
        (("tenant", "create", "alice", "--agent", "plain", "--env", "PLAIN"), 2, "wrong_usage"),
        (("tenant", "create", "alice", "--agent", "plain", "--env-file", "/no/such/file"), 2, "wrong_usage"),
        (("tenant", "create", "bob", "--agent", "plain"), 4, "tenant_exists"),
        (("tenant", "sleep", "bob", "--tier", "deep"), 2, "invalid_request"),
        (("tenant", "create"), 2, "wrong_usage"),
        (("tenant", "create", "alice", "--colour", "red"), 2, "wrong_usage"),
        (("tenant", "create", "alice", "--memory-mb", "lots"), 2, "wrong_usage"),
        (("tenant", "dance"), 2, "wrong_usage"),
        (("operation", "list", "--last", "0"), 2, "wrong_usage"),
        (("--config", "/no/such/file", "tenant", "list"), 2, "wrong_usage"),
    ],
)
async def test_each_error_has_its_exit_code_and_its_document(
    command: tuple[str, ...], code: int, says: str, inn: Run, bench: Bench
) -> None:
    await bench.tenant("bob")
    said = await inn(*command, "--json")
    assert (said.code, said.document["code"], said.err) == (code, says, "")
    assert said.document["detail"]


@pytest.mark.parametrize(
    "command", [("tenant", "show", "nobody"), ("tenant", "dance"), ("serve", "--detach", "--down")]
)
async def test_people_get_a_sentence_and_no_traceback(command: tuple[str, ...], inn: Run) -> None:
    said = await inn(*command)
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert "Traceback" not in said.err


async def test_a_control_plane_that_isnt_there(run: Run) -> None:
    said = await run("tenant", "list")
    assert said.code == 5
    assert "127.0.0.1:1" in said.err
    assert "hint: Start it with `innkeeper serve --detach`" in said.err
    assert (await run("tenant", "list", "--json")).document["code"] == "unreachable"


async def test_something_else_answers(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(PlainTextResponse("It works!", status_code=404)) as url:
        monkeypatch.setenv("INNKEEPER_API", url.removeprefix("http://"))
        said = await run("tenant", "list", "--json")
    assert (said.code, said.document["code"]) == (1, "not_innkeeper")


async def test_the_token_of_the_data_directory_is_used(
    run: Run, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(bench.app) as url:
        monkeypatch.setenv("INNKEEPER_API", url.removeprefix("http://"))
        refused = await run("tenant", "list")
        assert (refused.code, "Authorization: Bearer" in refused.err) == (4, True)
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data/admin-token").write_text(bench.admin_token + "\n")
        assert (await run("tenant", "list")).code == 0
        monkeypatch.setenv("INNKEEPER_TOKEN", "wrong")
        assert (await run("tenant", "list")).code == 4


async def test_proxies_of_the_environment_never_see_the_token(inn: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    assert (await inn("tenant", "list")).code == 0


async def test_settings_that_dont_hold_are_named_without_their_value(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INNKEEPER_TICK_S", "hunter2")
    said = await run("tenant", "list")
    assert (said.code, "tick_s" in said.err, "hunter2" in said.err) == (2, True, False)
    monkeypatch.delenv("INNKEEPER_TICK_S")
    file = tmp_path / "innkeeper.toml"
    file.write_text("colour = 'red'\n")
    assert "colour" in (await run("--config", str(file), "tenant", "list")).err
    file.write_text("= nonsense")
    assert (await run("--config", str(file), "tenant", "list")).code == 2
    file.write_text("api = '127.0.0.1:2'\n")
    monkeypatch.delenv("INNKEEPER_API")
    assert "127.0.0.1:2" in (await run("--config", str(file), "tenant", "list")).err


async def test_every_code_of_the_cli_itself_is_documented() -> None:
    assert {"wrong_usage", "unreachable", "not_innkeeper", "broke_off", "interrupted"} <= set(CODES)


# --- as a process of its own ------------------------------------------------------------------------------------------

INNKEEPER = (sys.executable, "-m", "innkeeper")


def test_help_is_quick_for_it_loads_next_to_nothing() -> None:
    code = (
        "import sys\n"
        "from innkeeper.cli.main import outcome\n"
        "assert outcome(['tenant', 'create', '--help']) == 0\n"
        "heavy = {'fastapi', 'pydantic_settings', 'httpx2', 'sqlalchemy', 'aiodocker', 'structlog', 'asyncio'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_that_leaves_early_ends_it_without_a_word() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run([*INNKEEPER, "version"], stdout=writing, stderr=subprocess.PIPE, timeout=60)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_it_runs_without_a_home_or_a_terminal(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "INNKEEPER_DATA": str(tmp_path), "INNKEEPER_API": "127.0.0.1:1"}
    done = subprocess.run([*INNKEEPER, "status", "--json"], capture_output=True, env=env, timeout=60)
    assert (done.returncode, json.loads(done.stdout)["code"]) == (5, "unreachable")
    assert httpx2.__name__ not in done.stderr.decode()
