"""Sleep policies: presets, what is said beside them, and what won't do."""

from __future__ import annotations

from typing import Any

import pytest

from innkeeper.core.errors import InvalidSpec
from innkeeper.core.ladder import DEFAULT_PRESET, PRESETS, WINDOWS, MissedRuns, SleepPolicy, timing
from innkeeper.core.policy import changed_policy, presets_from


def test_the_default_preset_is_the_default_policy() -> None:
    assert timing(PRESETS[DEFAULT_PRESET]) == timing(SleepPolicy())


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_holds(name: str) -> None:
    policy = changed_policy(SleepPolicy(), {"preset": name})
    assert policy.preset == name
    given = [value for field in WINDOWS if (value := getattr(policy, field)) is not None]
    assert given == sorted(given)


def test_ocmt_sleeps_as_ocmt_does() -> None:
    policy = changed_policy(SleepPolicy(), {"preset": "ocmt"})
    assert timing(policy) == {
        "pause_after_s": 30 * 60,
        "page_after_s": None,
        "save_after_s": None,
        "stop_after_s": 4 * 3600,
        "check_every_s": 60,
    }


def test_what_is_said_beside_a_preset_wins_and_the_rest_stays() -> None:
    before = SleepPolicy(schedule=("awake 08:00-09:00",), missed_runs=MissedRuns.SKIP)
    policy = changed_policy(before, {"preset": "frugal", "stop_after_s": 90})
    assert (policy.pause_after_s, policy.page_after_s, policy.stop_after_s) == (60, None, 90)
    assert (policy.schedule, policy.missed_runs) == (before.schedule, before.missed_runs)


def test_null_is_never_for_windows_and_unsaid_for_the_rest() -> None:
    before = SleepPolicy(schedule=("awake 08:00-09:00",), missed_runs=MissedRuns.SKIP, despite_channels=True)
    asked = dict.fromkeys((*WINDOWS, "schedule", "missed_runs", "despite_channels", "wake_deadline_s"))
    policy = changed_policy(before, asked)
    assert policy == SleepPolicy(pause_after_s=None, page_after_s=None, stop_after_s=None)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"nap_after_s": 1}, "sleep.nap_after_s"),
        ({"pause_after_s": -1}, "sleep.pause_after_s"),
        ({"pause_after_s": 0}, "sleep.pause_after_s"),
        ({"stop_after_s": 400 * 86400}, "sleep.stop_after_s"),
        ({"pause_after_s": 500, "stop_after_s": 400}, "sleep.stop_after_s"),
        ({"check_every_s": 0}, "sleep.check_every_s"),
        ({"preset": "lazy"}, "sleep.preset"),
        ({"missed_runs": "twice"}, "sleep.missed_runs"),
        ({"schedule": ["awake 08:00-08:00"]}, "sleep.schedule"),
        ({"wake_deadline_s": 0}, "sleep.wake_deadline_s"),
        ({"wake_deadline_s": 601}, "sleep.wake_deadline_s"),
    ],
)
def test_what_wont_do_names_its_field(asked: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        changed_policy(SleepPolicy(), asked)
    assert caught.value.field == field
    assert caught.value.hint


def test_an_operators_own_presets() -> None:
    presets = presets_from(
        {"gold": {"pause_after_s": 3600, "page_after_s": 3600, "stop_after_s": None}, "frugal": {"pause_after_s": 30}}
    )
    gold = changed_policy(SleepPolicy(), {"preset": "gold"}, presets)
    assert (gold.pause_after_s, gold.page_after_s, gold.stop_after_s, gold.preset) == (3600, 3600, None, "gold")
    assert timing(presets["frugal"]) == timing(PRESETS["frugal"]) | {"pause_after_s": 30}
    with pytest.raises(InvalidSpec):
        presets_from({"gold": {"pause_after_s": -1}})
    with pytest.raises(InvalidSpec):
        presets_from({"gold": {"schedule": ["awake 08:00-09:00"]}})


def test_a_preset_of_the_settings_may_say_never_and_is_named_when_it_is_wrong() -> None:
    gold = presets_from({"gold": {"pause_after_s": 3600, "page_after_s": "never"}})["gold"]
    assert (gold.pause_after_s, gold.page_after_s, gold.stop_after_s, gold.preset) == (3600, None, 14400, "gold")
    with pytest.raises(InvalidSpec, match=r"In the preset 'gold': page_after_s \(600 s\) comes before"):
        presets_from({"gold": {"pause_after_s": 3600}})
