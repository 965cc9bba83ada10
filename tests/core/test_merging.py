"""The merge's table, whole: what becomes of a file for every way that three versions of it can be."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.core.merging import NOTHING, Act, Here, Last, Wanted, concerned, decide, plan
from innkeeper.core.packs import Content

A, B, C = Content("a" * 64), Content("b" * 64), Content("c" * 64)
LINK, BARRED = Here(odd="a link"), Here(odd="something that isn't a folder is above it", blocked=0)


def is_(content: Content) -> Here:
    return Here(content=content)


@pytest.mark.parametrize(
    ("delivered", "here", "new", "act", "forced"),
    [
        # never delivered
        (None, NOTHING, A, Act.ADD, Act.ADD),
        (None, is_(A), A, Act.SAME, Act.SAME),
        (None, is_(B), A, Act.BESIDE, Act.OVERWRITE),
        (None, LINK, A, Act.BESIDE, Act.OVERWRITE),
        (None, BARRED, A, Act.BESIDE, Act.BESIDE),
        # delivered, and the pack has nothing new
        (A, NOTHING, A, Act.LEFT_DELETED, Act.LEFT_DELETED),
        (A, is_(A), A, Act.SAME, Act.SAME),
        (A, is_(B), A, Act.KEEP, Act.OVERWRITE),
        (A, LINK, A, Act.KEEP, Act.OVERWRITE),
        (A, BARRED, A, Act.KEEP, Act.KEEP),
        # delivered, and there is a new version
        (A, NOTHING, B, Act.LEFT_DELETED, Act.LEFT_DELETED),
        (A, is_(A), B, Act.UPDATE, Act.UPDATE),
        (A, is_(B), B, Act.SAME, Act.SAME),
        (A, is_(C), B, Act.BESIDE, Act.OVERWRITE),
        (A, LINK, B, Act.BESIDE, Act.OVERWRITE),
        (A, BARRED, B, Act.BESIDE, Act.BESIDE),
        # delivered, and the pack has dropped it
        (A, NOTHING, None, Act.GONE, Act.GONE),
        (A, is_(A), None, Act.REMOVE, Act.REMOVE),
        (A, is_(B), None, Act.RELEASE, Act.RELEASE),
        (A, LINK, None, Act.RELEASE, Act.RELEASE),
        (A, BARRED, None, Act.RELEASE, Act.RELEASE),
    ],
)
def test_the_table(delivered: Content | None, here: Here, new: Content | None, act: Act, forced: Act) -> None:
    assert decide(delivered, here, new) is act
    assert decide(delivered, here, new, force=True) is forced


states = st.sampled_from([None, A, B, C])
found = st.sampled_from([NOTHING, is_(A), is_(B), is_(C), LINK, BARRED])


@given(states, found, states, st.booleans(), st.booleans())
def test_what_the_tenant_made_of_it_is_never_lost(
    delivered: Content | None, here: Here, new: Content | None, leaving: bool, force: bool
) -> None:
    if delivered is None and new is None:
        return
    act = decide(delivered, here, new, leaving=leaving, force=force)
    theirs = here.is_there and here.content not in (delivered, new)
    if theirs:
        assert act in {Act.KEEP, Act.BESIDE, Act.OVERWRITE, Act.RELEASE}, "overwriting saves the old one"
        assert force or act is not Act.OVERWRITE
    if not here.is_there and delivered is not None and not leaving:
        assert act in {Act.LEFT_DELETED, Act.GONE}, "deletions stay"


@given(states, found, states, st.booleans(), st.booleans())
def test_done_again_it_does_nothing_more(
    delivered: Content | None, here: Here, new: Content | None, leaving: bool, force: bool
) -> None:
    """What is delivered by then is the new version, whether the process lived to write that down or not."""
    if delivered is None and new is None:
        return
    act = decide(delivered, here, new, leaving=leaving, force=force)
    after = {Act.ADD: new, Act.UPDATE: new, Act.OVERWRITE: new}.get(act, here.content)
    then = Here(content=after) if act in {Act.ADD, Act.UPDATE, Act.OVERWRITE} else here
    then = NOTHING if act is Act.REMOVE else then
    for written_down in (delivered, new):
        again = decide(written_down, then, new, leaving=act is Act.REMOVE, force=False)
        if act is Act.BESIDE and written_down is delivered:
            assert again is Act.BESIDE, "and finds its own beside"
        elif act is Act.REMOVE:
            assert again is Act.GONE
        else:
            assert again in {Act.SAME, Act.KEEP, Act.LEFT_DELETED, Act.RELEASE, Act.GONE, act}
            assert again not in {Act.ADD, Act.UPDATE, Act.OVERWRITE, Act.REMOVE}


def test_a_removal_that_was_cut_short_is_no_deletion_of_the_tenants() -> None:
    assert decide(A, NOTHING, A) is Act.LEFT_DELETED
    assert decide(A, NOTHING, A, leaving=True) is Act.ADD


def test_files_of_packs_that_are_given_no_more_are_not_touched() -> None:
    delivered = {"w/a": Last(content=A, pack="core"), "w/b": Last(content=A, pack="other")}
    wanted = {"w/c": Wanted(content=B, pack="core", source="c")}
    assert concerned(delivered, wanted, of=frozenset({"core"})) == ["w/a", "w/c"]
    here = {"w/a": is_(A), "w/b": is_(A)}
    planned = plan(delivered, here, wanted, of=frozenset({"core"}))
    assert [(item.path, item.act, item.pack) for item in planned] == [
        ("w/a", Act.REMOVE, "core"),
        ("w/c", Act.ADD, "core"),
    ]


def test_whether_it_can_be_run_is_part_of_what_a_file_is() -> None:
    runs = Content(A.sha256, executable=True)
    assert decide(A, is_(A), runs) is Act.UPDATE
    assert decide(A, is_(runs), A) is Act.KEEP
    assert all(decide(x, is_(x), x) is Act.SAME for x, _ in product((A, runs), range(1)))
