"""What a path opens, and what it must not, however it is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.core.errors import InvalidSpec
from innkeeper.core.openings import InboxPath, Openings, checked_inbox, checked_public_paths

OPENINGS = Openings(("/verify", "/static/*"), (InboxPath(path="/hooks/wake"), InboxPath(path="/verify")))


@pytest.mark.parametrize(
    "uri",
    [
        b"/verify", b"/verify?hub.challenge=1", b"/static/", b"/static/a.js", b"/static/a/b/c.png?v=1",
        b"/static/a%20b.png", b"/static/%C3%BC.txt", b"/static/..a/b..",
    ],
)  # fmt: skip
def test_public(uri: bytes) -> None:
    assert OPENINGS.is_public(uri)


@pytest.mark.parametrize(
    "uri",
    [
        b"", b"/", b"/verify/", b"/verify/x", b"/Verify", b"//verify", b"/./verify", b"/x/../verify", b"/%76erify",
        b"/verify%3Fx", b"/verify#x", b"/verify;x", b"/verify%00", b"http://alice.localhost/verify", b"verify",
        b"/static", b"/statics/x", b"/static/../admin", b"/static/./x", b"/static//admin", b"/static/x/..",
        b"/static/%2e%2e/admin", b"/static/.%2e/admin", b"/static/..%2fadmin", b"/static/%2fadmin",
        b"/static/..%5cadmin", b"/static/..\\admin", b"/static/%252e%252e/admin", b"/static/..;/admin",
        b"/static/..%3b/admin", b"/static/x%00.js", b"/static/x%0d%0a", b"/static/%c0%ae%c0%ae/admin",
        b"/static/%ef%bc%8e%ef%bc%8e/admin", b"/static/%ef%bc%8fadmin", b"/static/%", b"/static/%zz", b"/static/a b",
        b"/static/\xff", b"/static/\xc3\xbc",
    ],
)  # fmt: skip
def test_not_public(uri: bytes) -> None:
    assert not OPENINGS.is_public(uri)


@given(st.binary(max_size=40))
def test_whatever_opens_a_prefix_stays_below_it(rest: bytes) -> None:
    if OPENINGS.is_public(b"/static/" + rest):
        path = rest.partition(b"?")[0]
        assert b"//" not in path
        assert not {b".", b".."} & set(path.split(b"/"))


@pytest.mark.parametrize("uri", [b"/hooks/wake", b"/hooks/wake?token=x", b"/verify"])
def test_a_post_brings_a_message(uri: bytes) -> None:
    found = OPENINGS.inbox_at(b"POST", uri)
    assert found is not None
    assert found.path == uri.decode().partition("?")[0]


@pytest.mark.parametrize(
    "uri", [b"/hooks/wake/", b"/hooks//wake", b"/hooks/%77ake", b"/hooks/wake%20", b"/hooks", b"*"]
)
def test_no_other_path_does(uri: bytes) -> None:
    assert OPENINGS.inbox_at(b"POST", uri) is None


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"post", b"OPTIONS"])
def test_no_other_method_does(method: bytes) -> None:
    assert OPENINGS.inbox_at(method, b"/hooks/wake") is None


def test_of_two_with_one_path_the_first_counts() -> None:
    both = Openings((), (InboxPath(path="/a", port=1), InboxPath(path="/a", port=2)))
    assert both.inbox_path("/a") == InboxPath(path="/a", port=1)


@pytest.mark.parametrize("path", ["/", "/a", "/a/*", "/a/b.c/", "/.well-known/x", "/~u/$&'()+=:@!"])
def test_public_paths_that_will(path: str) -> None:
    assert checked_public_paths((path, path)) == (path,)


HOSTILE = [
    "", "a", "*", "//", "/a//b", "/a/../b", "/..", "/.", "/a/.", "/a?b", "/a#b", "/a b", "/a%20b", "/a\\b", "/a;b",
    "/ä", "/a\n", "/a\0", "/a*", "/*/a", "/a/*/b", "/a,b", "/a{b}", '/a"b', "/" + "a" * 200, "http://x/a",
]  # fmt: skip


@pytest.mark.parametrize("path", [*HOSTILE, "/*"])
def test_public_paths_that_wont(path: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        checked_public_paths(("/fine", path))
    assert caught.value.field == "public_paths"
    assert caught.value.hint


@pytest.mark.parametrize("path", [*HOSTILE, "/a/*"])
def test_inbox_paths_that_wont(path: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        checked_inbox((InboxPath(path="/fine"), InboxPath(path=path)))
    assert caught.value.field == "inbox.1.path"


@pytest.mark.parametrize("rule", ["auto", "none", "header:X-GitHub-Delivery", "json:update_id", "json:a.b-c.d_e"])
def test_rules_that_will(rule: str) -> None:
    assert checked_inbox((InboxPath(path="/a", id=rule),))


@pytest.mark.parametrize(
    "rule", ["", "Auto", "header:", "header:a b", "header:a:b", "json:", "json:.a", "json:a..b", "x"]
)
def test_rules_that_wont(rule: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        checked_inbox((InboxPath(path="/a", id=rule),))
    assert caught.value.field == "inbox.0.id"


def test_neither_too_many_nor_twice_nor_on_no_port() -> None:
    many = [f"/{number}" for number in range(21)]
    for inbox, field in (
        (tuple(InboxPath(path=path) for path in many), "inbox"),
        ((InboxPath(path="/a"), InboxPath(path="/a", port=1)), "inbox.1.path"),
        ((InboxPath(path="/a", port=0),), "inbox.0.port"),
        ((InboxPath(path="/a", port=65536),), "inbox.0.port"),
    ):
        with pytest.raises(InvalidSpec) as caught:
            checked_inbox(inbox)
        assert caught.value.field == field
    with pytest.raises(InvalidSpec):
        checked_public_paths(many)
