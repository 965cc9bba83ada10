"""The reference says all that there is, and what it says is true."""

from __future__ import annotations

from pathlib import Path

import pytest

from innkeeper.api.app import needed, openapi
from innkeeper.cli.exits import CODES, ExitCode
from innkeeper.cli.reference import pages
from innkeeper.cli.reference.cli_page import commands
from innkeeper.cli.reference.errors_page import problems
from innkeeper.cli.reference.metrics_page import metrics
from innkeeper.cli.reference.settings_page import variable
from innkeeper.core.access import Action, Role, TenantRole
from innkeeper.settings import Settings

REFERENCE = Path(__file__).parents[2] / "docs/reference"
PAGES = pages()


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_fresh(name: str) -> None:
    page = REFERENCE / name
    assert page.is_file() and page.read_text() == PAGES[name], (  # noqa: PT018 - one remedy for both
        "stale: run `innkeeper reference --write docs/reference`"
    )


def test_every_setting_is_there_with_its_meaning_and_in_a_group() -> None:
    grouped = [name for names in Settings.groups.values() for name in names]
    assert sorted(grouped) == sorted(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert f"### `{name}`" in PAGES["settings.md"]
        assert f"`{variable(name, field)}`" in PAGES["settings.md"]


def test_no_default_gives_away_where_this_was_written() -> None:
    for text in PAGES.values():
        assert str(Path.home()) not in text
        assert str(REFERENCE.parents[1]) not in text


def test_every_command_and_option_is_there_with_its_help() -> None:
    found = dict(commands())
    assert {"innkeeper serve", "innkeeper tenant create", "innkeeper tenant chat", "innkeeper doctor"} <= set(found)
    for name, command in found.items():
        assert f"## `{name}" in PAGES["cli.md"]
        assert command.help, name
        for parameter in command.params:
            assert parameter.help, f"{name} {parameter.name}"


def test_every_command_that_tells_something_can_tell_it_in_json() -> None:
    for name, command in commands():
        if name not in ("innkeeper", "innkeeper serve"):
            assert "--json" in [option for parameter in command.params for option in parameter.opts], name


def test_every_exit_code_and_every_error_code_is_there() -> None:
    for code in ExitCode:
        assert f"| {int(code)} |" in PAGES["cli.md"]
    for code_of_ours in CODES:
        assert f"| `{code_of_ours}` |" in PAGES["cli.md"]
    found = problems()
    assert len({problem.code for problem in found}) == len(found) > 40
    for problem in found:
        assert f"| `{problem.code}` |" in PAGES["api-errors.md"]
        assert problem.__doc__


def test_every_metric_is_there_with_its_help_and_no_tenants_name_but_one() -> None:
    found = metrics()
    assert len(found) > 12
    for name, _, labels, text in found:
        assert f"| `{name}` |" in PAGES["metrics.md"]
        assert text.endswith(".")
        assert not {"tenant", "name", "host"} & set(labels) or name == "innkeeper_tenant_backup_age_seconds"


def test_every_path_and_every_document_is_there() -> None:
    described = openapi()
    for path, methods in described["paths"].items():
        for method in methods:
            assert f"## `{method.upper()} {path}`" in PAGES["api.md"]
    for name, schema in described["components"]["schemas"].items():
        assert f"\n## {name}\n" in PAGES["api.md"]
        assert schema.get("description"), name


def test_every_role_action_and_guarded_route_is_there() -> None:
    page = PAGES["access.md"]
    for word in (*Role, *TenantRole, *Action):
        assert f"| `{word}` | {word.says} |" in page
    routes = {f"{method.upper()} {path}" for path, methods in openapi()["paths"].items() for method in methods}
    assert routes - set(needed()) == {"GET /health", "GET /ready", "GET /metrics"}
    for route, action in needed().items():
        assert f"| `{route}` | `{action}` |" in page
