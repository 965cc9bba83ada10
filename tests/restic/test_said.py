"""What restic and its servers say, in the core's words."""

from __future__ import annotations

import pytest

from innkeeper.core.errors import DiskFull, Problem
from innkeeper.core.redaction import hide
from innkeeper.core.snapshot_errors import (
    BackupFailed,
    RepositoryLocked,
    SnapshotDamaged,
    SnapshotMissing,
    TargetFull,
    TargetRefused,
    TargetUnreachable,
)
from innkeeper.restic.said import fail, fail_silent, no_repository, only_devices

RETRY = "Save(<data/94c1ad>) returned error, retrying after 552ms: "


@pytest.mark.parametrize(
    ("line", "means"),
    [
        ("Fatal: wrong password or no key found", TargetRefused),
        ("Fatal: unable to open config file: Stat: Access Denied.", TargetRefused),
        ("client.Head: unexpected HTTP response (401): 401 Unauthorized", TargetRefused),
        ("Fatal: unable to open config file: stat /repository/config: no such file or directory", SnapshotMissing),
        ("Fatal: unable to open config file: Stat: The specified key does not exist.", SnapshotMissing),
        ("Fatal: unable to open config file: Head: dial tcp 192.0.2.1:443: i/o timeout", TargetUnreachable),
        ("Fatal: unable to open config file: dial tcp: lookup s3.invalid: no such host", TargetUnreachable),
        (f"{RETRY}write /repository/data/94/94c1: no space left on device", TargetFull),
        (f"{RETRY}write /cache/1f/data/94: no space left on device", DiskFull),
        (f"{RETRY}server response unexpected: 507 Insufficient Storage (507)", TargetFull),
        ("unable to create lock in backend: repository is already locked by PID 1", RepositoryLocked),
        ("pack 94c1ad: does not exist", SnapshotDamaged),
        ("error: error loading index a504f9ba: load <index/a504f9ba>: invalid data returned", SnapshotDamaged),
        ('Fatal: invalid id "deadbeef": no matching ID found for prefix "deadbeef"', SnapshotMissing),
        ("Fatal: something that nobody has heard of", BackupFailed),
    ],
)
def test_a_sentence_is_told_by_its_meaning(line: str, means: type[Problem]) -> None:
    with pytest.raises(means) as raised:
        fail("Taking it", ["repository opened", line], 1)
    assert type(raised.value) is means
    assert line[:60] in raised.value.message


def test_a_full_disk_is_the_one_that_is_written_to() -> None:
    said = ["ignoring error for /persistence/a: write /into/persistence/a: no space left on device"]
    with pytest.raises(DiskFull):
        fail("Restoring", said, 1, restoring=True)


def test_a_name_of_a_tenants_makes_nothing_of_itself() -> None:
    said = ["ignoring error for /persistence/wrong password or no key found: x: input/output error"]
    with pytest.raises(BackupFailed):
        fail("Restoring", said, 1, restoring=True)
    forged = '{"message_type":"error","item":"/persistence/Fatal: wrong password or no key found"}'
    with pytest.raises(BackupFailed):
        fail("Taking it", [forged], 1)


def test_what_it_quotes_is_redacted_and_short() -> None:
    hide("open-sesame-of-the-tests")
    line = "Fatal: unable to open repository at rest:https://inn:open-sesame-of-the-tests@host/: 401 " + "x" * 5000
    with pytest.raises(TargetRefused) as raised:
        fail("Checking", [line], 1)
    assert "open-sesame" not in raised.value.message
    assert len(raised.value.message) < 500


def test_a_silent_target_is_unreachable_unless_it_said_why() -> None:
    with pytest.raises(TargetUnreachable, match="said nothing"):
        fail_silent("Checking", [])
    with pytest.raises(TargetUnreachable, match="strange"):
        fail_silent("Checking", [f"{RETRY}something strange"])
    with pytest.raises(SnapshotDamaged):
        fail_silent("Checking", ["Load(<data/1f>, 0, 0) returned error, retrying after 1s: <data/1f> does not exist"])


def test_no_repository_is_only_what_an_answering_target_says() -> None:
    assert no_repository(["Fatal: unable to open config file: Stat: The specified bucket does not exist"])
    assert not no_repository(["Fatal: unable to open config file: Stat: Access Denied."])
    assert not no_repository(["dial tcp: connection refused", "Is there a repository at the following location?"])


def test_a_restore_without_its_devices_alone_is_whole() -> None:
    device, other = (f"ignoring error for /persistence/{each}" for each in ("dev: operation not permitted", "a: EIO"))
    assert only_devices([device, "Fatal: There were 1 errors"])
    assert not only_devices([device, other, "Fatal: There were 2 errors"])
    assert not only_devices([device, "Fatal: There were 2 errors"])
    assert not only_devices([])
