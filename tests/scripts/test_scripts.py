"""The scripts under bin/: what they refuse, and what they look at before they change anything."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "bin").iterdir())


def run(*argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, env=os.environ | environment, timeout=30, check=False)


def bash(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a few lines with everything of the quickstart's at hand."""
    sourced = "source bin/setup.sh; source bin/checks.sh; source bin/teardown.sh; problems=(); "
    return run("bash", "-c", f"cd '{ROOT}'; {sourced}{script}", **environment)


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_script_is_well_formed(script: Path) -> None:
    assert run("bash", "-n", str(script)).returncode == 0


@pytest.mark.parametrize("name", ["quickstart", "test"])
def test_help_says_how_to_use_it(name: str) -> None:
    done = run(str(ROOT / "bin" / name), "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: bin/{name}")


@pytest.mark.parametrize(
    "argv", [("quickstart", "--agent", "hal"), ("quickstart", "--agent"), ("quickstart", "now"), ("test", "everything")]
)
def test_wrong_usage_is_told_apart(argv: tuple[str, ...]) -> None:
    done = run(str(ROOT / "bin" / argv[0]), *argv[1:])
    assert done.returncode == 2
    assert done.stderr


def test_a_taken_port_is_a_problem(port: int, tmp_path: Path) -> None:
    done = bash(f"check_port {port} 'the edge'; echo \"${{problems[@]}}\"", DATA=str(tmp_path))
    assert f"port {port} is taken by another program, and the edge needs it" in done.stdout


def test_a_port_of_our_own_is_none(port: int, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/serve.lock").write_text(f"{os.getpid()}\n")
    of_pytest = f"runs() {{ [ $1 = {os.getpid()} ]; }}; "  # whose command line doesn't name innkeeper
    done = bash(of_pytest + f"check_port {port} 'the edge'; echo ${{#problems[@]}}", DATA=str(tmp_path))
    assert done.stdout == "0\n"


def test_caddy_is_known_by_its_configuration(tmp_path: Path) -> None:
    argv = ["bash", "-c", "read", "caddy", "run", "--config", f"{tmp_path}/run/Caddyfile"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as stand_in:
        assert bash("caddy_pids", DATA=str(tmp_path)).stdout == f"{stand_in.pid}\n"
        assert bash("caddy_pids", DATA=str(tmp_path / "other")).stdout == ""


def test_only_a_data_directory_is_ever_removed(tmp_path: Path) -> None:
    ours, other = tmp_path / "ours", tmp_path / "other"
    for folder in (ours, other):
        (folder / "tenants").mkdir(parents=True)
    (ours / "keyring").touch()
    for folder in (ours, other):
        assert bash("remove_data", DATA=str(folder)).returncode == 0
    assert not ours.exists()
    assert other.exists()


def test_a_lock_file_that_lies_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with subprocess.Popen(["sleep", "60"]) as bystander:
        (tmp_path / "run/serve.lock").write_text(f"{bystander.pid}\n")
        done = bash("INNKEEPER=/nowhere; stop_our_processes", DATA=str(tmp_path))
        assert done.returncode == 0
        assert bystander.poll() is None
        bystander.kill()


def test_locks_are_not_inherited_by_what_outlives_the_script(tmp_path: Path) -> None:
    script = f"exec {{held}}>'{tmp_path}/lock'; flock $held; (without_locks ls -l /proc/self/fd)"
    done = bash(script)
    assert done.returncode == 0
    assert "/lock" not in done.stdout


def test_a_failure_inside_a_lock_is_passed_on(tmp_path: Path) -> None:
    done = bash(f"LOCKS='{tmp_path}'; fails() {{ false; echo never; }}; locked any fails; echo never")
    assert done.returncode == 1
    assert "never" not in done.stdout
