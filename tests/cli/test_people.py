"""Users, members, tokens and sessions by the command line."""

from __future__ import annotations

import asyncio
import io
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from innkeeper.cli.exits import Stop
from innkeeper.cli.expiry import expires_at
from innkeeper.core.signing_in import Visitor
from tests.api.bench import Bench
from tests.api.people import PASSWORD, person, token_of
from tests.cli.conftest import Run, Said


async def created(inn: Run, name: str = "ann", *options: str) -> Said:
    return await inn("user", "create", f"{name}@example.com", "--no-password", *options, "--json")


async def kept_password(bench: Bench, mail: str = "ann@example.com") -> str | None:
    return (await bench.inn.people.users.find(mail)).password


# --- users ------------------------------------------------------------------------------------------------------------


async def test_a_user_is_made_changed_shown_and_removed(inn: Run, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    made = await inn("user", "create", "Ann@Example.com", "--name", "Ann", "--password-file", str(file))
    assert (made.code, made.out) == (0, "ann@example.com is a user now\n")
    assert "member add" in made.err, "without a role they may do nothing yet"
    shown = (await inn("user", "show", "ann@example.com", "--json")).document
    assert (shown["name"], shown["role"], shown["has_password"]) == ("Ann", None, True)
    assert [user["id"] for user in (await inn("user", "list", "--json")).document] == [shown["id"]]
    listed = await inn("user", "list")
    assert listed.out.splitlines()[0].split() == ["MAIL", "NAME", "ROLE", "SIGNS", "IN", "CREATED", "ID"]
    assert "with a password" in listed.out

    changed = await inn("user", "update", shown["id"], "--role", "auditor", "--name", "Anna", "--disable", "--json")
    assert [changed.document[name] for name in ("role", "name", "disabled")] == ["auditor", "Anna", True]
    assert "never: disabled" in (await inn("user", "show", "ann@example.com")).out
    back = (await inn("user", "update", "ann@example.com", "--no-role", "--enable", "--no-password", "--json")).document
    assert [back[name] for name in ("role", "disabled", "has_password")] == [None, False, False]

    assert (await inn("user", "delete", "ann@example.com")).code == 2, "it asks"
    gone = await inn("user", "delete", "ann@example.com", "--yes", "--json")
    assert gone.document == {"user": "ann@example.com", "deleted": True}
    assert "There are no users" in (await inn("user", "list")).err


@pytest.mark.parametrize("given", [PASSWORD, f"{PASSWORD}\n", f"{PASSWORD}\r\n"])
async def test_a_password_comes_by_stdin_without_its_line_end(
    inn: Run, bench: Bench, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(given))
    assert (await inn("user", "create", "ann@example.com", "--password-file", "-")).code == 0
    assert await kept_password(bench) == f"plain:{PASSWORD}"


async def test_a_password_that_can_be_had_from_nowhere_makes_nobody(inn: Run, tmp_path: Path) -> None:
    empty, latin = tmp_path / "empty", tmp_path / "latin"
    empty.write_text("\n")
    latin.write_bytes(b"gr\xfc\xdfe und viele K\xfcsse")
    for options in (
        (),
        ("--password-file", "-", "--no-password"),
        ("--password-file", str(tmp_path / "absent")),
        ("--password-file", str(empty)),
        ("--password-file", str(latin)),
    ):
        assert (await inn("user", "create", "ann@example.com", *options)).code == 2, options
    assert (await inn("user", "list", "--json")).document == []


@pytest.mark.parametrize(("again", "code"), [(PASSWORD, 0), ("another password", 2)])
async def test_a_password_is_typed_twice_and_never_shown(inn: Run, bench: Bench, again: str, code: int) -> None:
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "innkeeper", "user", "create", "ann@example.com"]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)

    def converse() -> str:
        seen = ""
        for prompt, word in (("Password: ", PASSWORD), ("The same again: ", again)):
            while prompt not in seen:
                seen += os.read(master, 1000).decode()
            os.write(master, f"{word}\n".encode())
        try:
            while more := os.read(master, 1000):
                seen += more.decode()
        except OSError:  # how Linux says that the other side has gone
            pass
        process.wait()
        return seen

    seen = await asyncio.to_thread(converse)
    os.close(master)
    assert (process.returncode, PASSWORD in seen) == (code, False)
    assert (await inn("user", "list", "--json")).code == 0
    users = await bench.inn.people.users.all()
    assert [user.password for user in users] == ([f"plain:{PASSWORD}"] if code == 0 else [])


async def test_users_who_cannot_be(inn: Run) -> None:
    assert (await created(inn, "ann", "--role", "admin")).code == 0
    again = await created(inn, "ann")
    assert (again.code, again.document["code"]) == (4, "user_exists")
    assert (await created(inn, "no mail")).code == 2
    assert (await created(inn, "bob", "--role", "king")).code == 2
    absent = await inn("user", "show", "bob@example.com", "--json")
    assert (absent.code, absent.document["code"]) == (3, "unknown_user")
    for change in ("--no-role", "--disable"):
        last = await inn("user", "update", "ann@example.com", change, "--json")
        assert (last.code, last.document["code"]) == (4, "last_admin")
    assert (await inn("user", "delete", "ann@example.com", "--yes")).code == 4
    assert (await inn("user", "delete", "../tenants/alice", "--yes")).code == 3
    for nonsense in ((), ("--role", "admin", "--no-role"), ("--password-file", "-", "--no-password")):
        assert (await inn("user", "update", "ann@example.com", *nonsense)).code == 2, nonsense


# --- members ----------------------------------------------------------------------------------------------------------


async def test_members_come_and_go(inn: Run, bench: Bench) -> None:
    await bench.tenant()
    await created(inn)
    assert "no members" in (await inn("member", "list", "alice")).err
    added = await inn("member", "add", "alice", "ann@example.com")
    assert (added.code, added.out) == (0, "ann@example.com is a member of alice\n")
    assert (await inn("member", "add", "alice", "ann@example.com", "--role", "owner", "--json")).document[
        "role"
    ] == "owner"
    assert [each["role"] for each in (await inn("member", "list", "alice", "--json")).document] == ["owner"]
    assert "ann@example.com" in (await inn("member", "list", "alice")).out

    assert (await inn("member", "add", "alice", "ann@example.com", "--role", "guest")).code == 2
    assert (await inn("member", "add", "nobody", "ann@example.com")).code == 3
    assert (await inn("member", "add", "alice", "bob@example.com")).code == 3
    assert (await inn("member", "remove", "alice", "ann@example.com")).code == 2, "it asks"
    gone = await inn("member", "remove", "alice", "ann@example.com", "--yes", "--json")
    assert gone.document == {"tenant": "alice", "user": "ann@example.com", "removed": True}
    again = await inn("member", "remove", "alice", "ann@example.com", "--yes", "--json")
    assert (again.code, again.document["code"]) == (3, "unknown_member")


# --- tokens and keys --------------------------------------------------------------------------------------------------


async def test_a_tokens_secret_is_printed_once(inn: Run, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await bench.tenant()
    made = await inn("token", "create", "--name", "watcher", "--role", "auditor", "--scope", "read", "--scope", "audit")
    assert made.out.startswith("ik_t_")
    assert made.out.count("\n") == 1
    assert "it may: auditor, only audit and read." in made.err
    options = ("--tenant", "alice", "--tenant-role", "viewer", "--expires", "2099-01-31")
    bound = (await inn("token", "create", *options, "--json")).document
    assert (bound["tenant"], bound["tenant_role"], bound["expires_at"]) == ("alice", "viewer", "2099-01-31T00:00:00Z")
    listed = await inn("token", "list")
    assert made.out.strip() not in listed.out
    assert bound["token"] not in listed.out
    tokens = (await inn("token", "list", "--json")).document
    assert [token["name"] for token in tokens] == ["watcher", "default"]

    monkeypatch.setenv("INNKEEPER_TOKEN", made.out.strip())
    assert (await inn("tenant", "list", "--json")).code == 0
    assert (await inn("tenant", "delete", "alice", "--yes")).code == 4
    monkeypatch.setenv("INNKEEPER_TOKEN", bench.admin_token)
    assert (await inn("token", "revoke", bound["id"])).code == 2, "it asks"
    assert (await inn("token", "revoke", bound["id"], "--yes", "--json")).document == {
        "id": bound["id"],
        "revoked": True,
    }
    assert (await inn("token", "revoke", bound["id"], "--yes")).code == 3


async def test_a_token_without_a_role_is_refused_before_anybody_is_asked(run: Run) -> None:
    for options in (
        (),
        ("--tenant", "alice"),
        ("--tenant-role", "viewer"),
        ("--role", "auditor", "--tenant", "alice", "--tenant-role", "viewer"),
        ("--role", "auditor", "--expires", "soon"),
    ):
        said = await run("token", "create", *options, "--json")
        assert (said.code, said.document["code"]) == (2, "wrong_usage"), "nobody answers there, and nobody was asked"
    assert "role of its own" in (await run("token", "create")).err


async def test_tokens_that_cannot_be(inn: Run) -> None:
    assert (await inn("token", "create", "--role", "king")).code == 2
    assert (await inn("token", "create", "--role", "admin", "--scope", "everything")).code == 2
    assert (await inn("token", "create", "--role", "admin", "--expires", "2020-01-31")).code == 2
    assert (await inn("token", "create", "--tenant", "nobody", "--tenant-role", "owner")).code == 3


async def test_a_key_may_end_by_itself(inn: Run, bench: Bench) -> None:
    await bench.tenant()
    key = (await inn("key", "create", "alice", "--expires", "2099-01-31", "--json")).document
    assert key["expires_at"] == "2099-01-31T00:00:00Z"
    assert "2099-01-31" in (await inn("key", "list", "alice")).out
    assert (await inn("key", "create", "alice", "--expires", "2020-01-31")).code == 2


def test_when_a_credential_ends() -> None:
    now = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
    assert expires_at(None, now=now) is None
    assert expires_at("12h", now=now) == "2026-11-21T00:30:00+00:00"
    assert expires_at("30d", now=now) == "2026-12-20T12:30:00+00:00"
    assert expires_at("2027-01-31", now=now) == "2027-01-31T00:00:00+00:00"
    assert expires_at("2027-01-31T18:00:00+02:00", now=now) == "2027-01-31T18:00:00+02:00"
    assert datetime.fromisoformat(expires_at("1d") or "") > datetime.now(UTC)
    for nonsense in ("", "30", "-1d", "0d", "30 d", "1y", "999999d9", "999999999d", "2027-02-30", "\u0663\u0660d"):
        with pytest.raises(Stop):
            expires_at(nonsense, now=now)
    with pytest.raises(Stop):
        expires_at("999999d", now=datetime(9000, 1, 1, tzinfo=UTC))


# --- sessions, and oneself --------------------------------------------------------------------------------------------


async def test_somebody_is_signed_out(inn: Run, bench: Bench) -> None:
    ann, bob = await person(bench, "ann"), await person(bench, "bob")
    visitor = Visitor(address="192.0.2.7", browser="Firefox/200")
    for name in ("ann", "bob"):
        await bench.inn.people.signing_in.with_password(f"{name}@example.com", PASSWORD, visitor=visitor)
    listed = await inn("session", "list")
    assert "Firefox/200" in listed.out
    assert {each["user"] for each in (await inn("session", "list", "--json")).document} == {ann, bob}
    (session,) = (await inn("session", "list", "--user", "ann@example.com", "--json")).document
    assert session["user"] == ann
    assert (await inn("session", "list", "--user", "nobody@example.com")).code == 3
    assert (await inn("session", "end", session["id"])).code == 2, "it asks"
    ended = await inn("session", "end", session["id"], "--yes", "--json")
    assert ended.document == {"id": session["id"], "ended": True}
    again = await inn("session", "end", session["id"], "--yes", "--json")
    assert (again.code, again.document["code"]) == (3, "unknown_session")


async def test_whoever_asks_is_told_who_they_are(inn: Run, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await inn("whoami", "--json")).document["kind"] == "admin"
    monkeypatch.setenv("INNKEEPER_TOKEN", await token_of(bench, await person(bench, "ann")))
    said = await inn("whoami")
    assert (said.code, "token" in said.out, "read" in said.out) == (0, True, True)
    assert (await inn("user", "list")).code == 4
    monkeypatch.setenv("INNKEEPER_TOKEN", "ik_t_nobodys")
    assert (await inn("whoami")).code == 4
