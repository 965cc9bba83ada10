"""Recipes as data: versions, hashes, and what pruning removes from a real tree."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from innkeeper.core.errors import ReleaseTooOld, UnknownAgent, UnknownRelease
from innkeeper.images.known import BASE, NANOBOT, OPENCLAW, RECIPES
from innkeeper.images.recipes import Prune, Recipe, Step, User, fingerprint, prune_argv, recipe_for


def test_the_default_version_is_at_its_floor_or_above() -> None:
    for recipe in RECIPES.values():
        assert recipe.at(None) == recipe


@pytest.mark.parametrize("version", ["2026.9.5", "2026.8.30", "2025.12.31", "1.0"])
def test_an_old_version_is_refused(version: str) -> None:
    with pytest.raises(ReleaseTooOld, match=r"2026\.9\.6"):
        OPENCLAW.at(version)


@pytest.mark.parametrize("version", ["2026.9.10", "2026.10.1", "2027.1.0-beta.1"])
def test_a_newer_version_is_taken(version: str) -> None:
    assert OPENCLAW.at(version).version == version


@pytest.mark.parametrize(
    "version", ["latest", "file:../x", "2026.9.6 --registry=x", "https://a.example/x.tgz", "2026.9.6@x", "-1", "9" * 90]
)
def test_only_a_version_is_a_version(version: str) -> None:
    with pytest.raises(UnknownRelease):
        OPENCLAW.at(version)


def test_an_unknown_agent_is_told_the_known_ones() -> None:
    with pytest.raises(UnknownAgent, match="nanobot, openclaw"):
        recipe_for("zeptoclaw", None, RECIPES)


def test_the_fingerprint_follows_all_that_matters() -> None:
    changed: list[Recipe] = [
        OPENCLAW.at("2026.9.7"),
        NANOBOT,
        replace(OPENCLAW, env={}),
        replace(OPENCLAW, prune=()),
        replace(OPENCLAW, command=("true",)),
        replace(OPENCLAW, steps=OPENCLAW.steps[:-1]),
    ]
    prints = {fingerprint(BASE, recipe) for recipe in [OPENCLAW, *changed]}
    prints |= {fingerprint(BASE), fingerprint(replace(BASE, packages=()), OPENCLAW)}
    assert len(prints) == len(changed) + 3


def test_the_fingerprint_ignores_what_doesnt() -> None:
    reworded = replace(OPENCLAW, minimum_because="so.", disk_mb=1, official=None)
    assert fingerprint(BASE, reworded) == fingerprint(BASE, OPENCLAW)


def test_package_code_never_runs_as_root() -> None:
    installers = [
        step
        for recipe in RECIPES.values()
        for step in recipe.steps
        if {"npm", "pip"} & {Path(part).name for part in step.argv[:1]}
    ]
    assert len(installers) >= 4
    assert all(step.user is User.AGENT for step in installers)


def test_steps_are_programs_and_not_shell_lines() -> None:
    steps: list[Step] = [*BASE.steps, *(step for recipe in RECIPES.values() for step in recipe.steps)]
    assert not [step for step in steps if Path(step.argv[0]).name in {"sh", "bash"}]


TREE = [
    "pkg/index.js",
    "pkg/index.js.map",
    "pkg/index.d.ts",
    "pkg/map/readme.md",
    "pkg/prebuilds/linux-x64/a.node",
    "pkg/prebuilds/win32-x64/a.node",
    "pkg/prebuilds/darwin-arm64/deep/a.node",
    "openclaw/docs/reference/templates/AGENTS.md",
    "openclaw/skills/x/SKILL.md",
    "@trycua/cua-driver/dist/index.js",
    "@trycua/cua-driver-linux-x64-gnu/lib.so",
    "odd name/with space.map",
    "-dash/file.map",
]


def test_openclaws_pruning_on_a_tree(tmp_path: Path) -> None:
    for name in TREE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "kept.map").write_text("x")
    (tmp_path / "link").symlink_to(outside)
    prune(tmp_path, OPENCLAW.prune[0])
    prune(tmp_path, OPENCLAW.prune[0])  # again changes nothing, and is no error
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {
        "pkg/index.js",
        "pkg/map/readme.md",
        "pkg/prebuilds/linux-x64/a.node",
        "openclaw/docs/reference/templates/AGENTS.md",
        "openclaw/skills/x/SKILL.md",
        "@trycua/cua-driver/dist/index.js",
    }
    assert (outside / "kept.map").exists()


def test_copyright_files_stay() -> None:
    docs = BASE.prune[1]
    assert docs.root == "/usr/share/doc"
    assert not any(Path("/usr/share/doc/curl/copyright").match(pattern) for pattern in docs.files)


def prune(root: Path, rule: Prune) -> None:
    for argv in prune_argv(replace(rule, root=str(root))):
        subprocess.run(argv, check=True)
