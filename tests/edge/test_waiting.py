"""Who is shown the page that waits, what stands in it, and what its script is told: the gate alone, without sockets."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Awaitable
from pathlib import Path

import pytest

from innkeeper.core.errors import Problem, TenantAsleep, TenantNotReady, UnknownTenant
from innkeeper.core.instance import State
from innkeeper.core.tenant import Access, Tenant
from innkeeper.core.waking import BLINK_S, WakeState, WakeStep, Waking
from innkeeper.edge.answers import refusal
from innkeeper.edge.gate import Ask, Gate, Outcome
from innkeeper.edge.waiting import PATH, WORDS, progress_answer, waiting_page
from tests.edge.house import KEY, ToldDoor, tenant

BROWSER = b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
HOST = b"alice.localhost:8080"


def opening(*, host: bytes = HOST, accept: bytes = BROWSER, method: bytes = b"GET", destination: bytes = b"") -> Ask:
    """A person opens a page of alice's, unless said otherwise."""
    return Ask(host, b"", accept, method, b"/deep?x=1", destination)


def following(*, host: bytes = HOST, uri: bytes = PATH, authorization: bytes = b"") -> Ask:
    """A page asks how far alice is."""
    return Ask(host, authorization, b"application/json", b"GET", uri, b"empty")


@pytest.fixture
def door() -> ToldDoor:
    """Alice lets everybody in, and sleeps."""
    door = ToldDoor()
    door.hosts["alice.localhost"] = tenant("alice", access=Access.OPEN)
    return door


@pytest.fixture
def outcomes() -> list[Outcome]:
    """How the asks ended."""
    return []


@pytest.fixture
def gate(door: ToldDoor, outcomes: list[Outcome]) -> Gate:
    """The gate in front of that door."""
    return Gate(door, inbox=Path("/nowhere/inbox.sock"), count=outcomes.append)


def parts(answer: bytes | Awaitable[bytes]) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of an answer that came at once."""
    assert isinstance(answer, bytes)
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    assert int(headers.get("content-length", 0)) == len(body)
    return int(first.split()[1]), headers, body.decode()


# --- who gets the page ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("destination", [b"", b"document"])
async def test_who_opens_a_page_gets_one_at_once_and_the_tenant_is_woken(
    door: ToldDoor, gate: Gate, outcomes: list[Outcome], destination: bytes
) -> None:
    status, headers, body = parts(gate.ask(opening(destination=destination)))

    assert status == 503
    assert headers["cache-control"] == "no-store"
    assert int(headers["retry-after"]) > 0
    assert "alice.<wbr>localhost" in body
    assert (door.woken, door.touches, door.waiting) == (["alice"], ["alice"], 0)
    assert outcomes == [Outcome.SHOWN]


@pytest.mark.parametrize(
    "ask",
    [
        opening(method=b"POST"),
        opening(method=b"HEAD"),
        opening(accept=b"*/*"),
        opening(accept=b"application/json"),
        opening(accept=b""),
        opening(destination=b"empty"),  # fetch, though it takes HTML
        opening(destination=b"iframe"),  # our page can't stand in one
        opening(destination=b"image"),
        opening(destination=b"websocket"),
    ],
)
async def test_everything_else_is_held(door: ToldDoor, gate: Gate, outcomes: list[Outcome], ask: Ask) -> None:
    door.lead("alice", "http://10.0.0.1:80")
    upstream = door.upstreams.pop("alice")
    answer = gate.ask(ask)
    assert not isinstance(answer, bytes)
    door.upstreams["alice"] = upstream
    door.opened.set()

    assert (await answer).startswith(b"HTTP/1.1 204")
    assert door.within_s is None
    assert door.woken == []
    assert outcomes == [Outcome.HELD]


@pytest.mark.parametrize("state", [State.PAUSED, State.RUNNING])
async def test_who_opens_a_frozen_tenant_is_held_for_the_blink_that_a_thaw_takes(
    door: ToldDoor, gate: Gate, outcomes: list[Outcome], state: State
) -> None:
    door.hosts["alice.localhost"] = tenant("alice", access=Access.OPEN, state=state)
    door.lead("alice", "http://10.0.0.1:80")
    upstream = door.upstreams.pop("alice")
    answer = gate.ask(opening())
    assert not isinstance(answer, bytes)
    door.upstreams["alice"] = upstream
    door.opened.set()

    assert (await answer).startswith(b"HTTP/1.1 204")
    assert door.within_s == BLINK_S
    assert outcomes == [Outcome.HELD]


@pytest.mark.parametrize(
    ("problem", "status", "outcome"),
    [
        (TenantNotReady("not yet"), 503, Outcome.SHOWN),
        (TenantAsleep("meanwhile"), 503, Outcome.SHOWN),
        (UnknownTenant("gone meanwhile"), 404, Outcome.UNKNOWN),
    ],
)
async def test_after_the_blink_comes_the_page(
    door: ToldDoor,
    gate: Gate,
    outcomes: list[Outcome],
    monkeypatch: pytest.MonkeyPatch,
    problem: Problem,
    status: int,
    outcome: Outcome,
) -> None:
    async def enter(_: Tenant, *, within_s: float | None = None) -> None:
        raise problem

    monkeypatch.setattr(door, "enter", enter)
    door.hosts["alice.localhost"] = tenant("alice", access=Access.OPEN, state=State.PAUSED)
    answer = gate.ask(opening())
    assert not isinstance(answer, bytes)

    assert parts(await answer)[0] == status
    assert outcomes == [outcome]
    assert door.woken == (["alice"] if outcome is Outcome.SHOWN else [])


async def test_a_tenant_that_leaves_is_nobody(door: ToldDoor, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    def progress(_: Tenant) -> Waking:
        raise UnknownTenant("There is no tenant alice.")

    monkeypatch.setattr(door, "progress", progress)
    assert parts(gate.ask(opening()))[0] == parts(gate.ask(following()))[0] == 404


# --- what the page's script is told -----------------------------------------------------------------------------------


async def test_following_is_answered_from_memory_and_is_no_use(
    door: ToldDoor, gate: Gate, outcomes: list[Outcome]
) -> None:
    door.told = Waking(step=WakeStep.TURN, position=(2, 5), elapsed_s=3.21, usual_s=11.04)
    status, headers, body = parts(gate.ask(following(uri=PATH + b"?x")))

    assert (status, headers["content-type"], headers["cache-control"]) == (200, "application/json", "no-store")
    assert json.loads(body) == {
        "state": "queued",
        "step": "Waiting for its turn",
        "position": 2,
        "of": 5,
        "elapsed_s": 3.2,
        "usual_s": 11.0,
    }
    assert door.touches == door.woken == []
    assert outcomes == [Outcome.FOLLOWED]


async def test_an_open_tenant_never_sees_the_question_either(door: ToldDoor, gate: Gate) -> None:
    door.lead("alice", "http://10.0.0.1:80")
    door.told = Waking(step=WakeStep.READY)

    assert json.loads(parts(gate.ask(following()))[2])["state"] == "ready"
    for other in (b"/.innkeeper/waking/", b"/.innkeeper/wakingx", b"/x/.innkeeper/waking"):
        assert parts(gate.ask(following(uri=other)))[0] == 204


async def test_who_may_not_enter_may_not_follow(door: ToldDoor, gate: Gate) -> None:
    door.hosts["alice.localhost"] = tenant("alice")

    assert parts(gate.ask(following()))[0] == 401
    assert parts(gate.ask(opening()))[0] == 401
    assert parts(gate.ask(following(host=b"nobody.localhost")))[0] == 404
    assert parts(gate.ask(following(authorization=b"Bearer " + KEY.encode())))[0] == 200
    assert door.woken == []


# --- what stands in it ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", [b'"><script>alert(1)</script>', b"alice.localhost<b>", b"<img src=x>.localhost"])
async def test_a_hostile_host_is_nobodys_and_isnt_repeated(gate: Gate, host: bytes) -> None:
    status, _, body = parts(gate.ask(opening(host=host)))

    assert status == 404
    for piece in ("<b>", "<img", "alert"):
        assert piece not in body


@pytest.mark.parametrize("step", WakeStep)
def test_whatever_it_is_called_stays_text(step: WakeStep) -> None:
    _, _, body = parts(waiting_page(Waking(step=step), '"><script>alert(1)</script>${x}'))

    assert body.count("<script") == 1
    assert "alert(1)</" not in body
    assert 'data-host="&quot;&gt;&lt;script&gt;' in body


@pytest.mark.parametrize(
    "answer",
    [
        waiting_page(Waking(step=WakeStep.START), "alice.localhost"),
        waiting_page(Waking(step=WakeStep.FAILED), "alice.localhost"),
        refusal(UnknownTenant("No tenant answers at this address."), page=True),
    ],
)
def test_only_what_the_policy_names_may_run(answer: bytes) -> None:
    _, _, body = parts(answer)
    headers = dict(line.split(": ", 1) for line in answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:])
    policy = dict(rule.split(" ", 1) for rule in headers["Content-Security-Policy"].split("; "))

    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        found = re.findall(rf"<{tag}>(.*?)</{tag}>", body, re.DOTALL)
        assert len(found) == (rule in policy)
        for text in found:
            assert policy[rule] == f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy.get("connect-src") == ("'self'" if "script-src" in policy else None)
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Robots-Tag"] == "noindex"
    assert not re.search(r"""(src|href|action)\s*=\s*["'](?!data:,)[^"']""", body), "nothing comes from elsewhere"
    assert not re.search(r"\s(on\w+|style)\s*=\s*[\"']", body), "no inline handlers and styles: they wouldn't work"


@pytest.mark.parametrize("step", WakeStep)
def test_page_and_script_are_told_the_same(step: WakeStep) -> None:
    waking = Waking(step=step, elapsed_s=75, usual_s=11.3)
    _, _, body = parts(waiting_page(waking, "alice.localhost"))
    told = json.loads(parts(progress_answer(waking))[2])

    assert f'<p class="step" role="status">{told["step"]}</p>' in body
    assert f'<main data-state="{told["state"]}" data-note="{"slow" if step.state.coming else ""}"' in body
    assert "1 min 15 s so far, usually about 11 s" in body


def test_the_place_in_the_queue_is_told() -> None:
    _, _, body = parts(waiting_page(Waking(step=WakeStep.TURN, position=(2, 5)), "alice.localhost"))
    assert ">Waiting for its turn: 2 of 5<" in body


def test_without_a_script_it_looks_again_by_itself() -> None:
    for step in WakeStep:
        _, headers, body = parts(waiting_page(Waking(step=step), "alice.localhost"))
        again = f'<noscript><meta http-equiv="refresh" content="{headers["retry-after"]}"></noscript>'
        assert again in body


def test_there_are_words_for_every_step() -> None:
    assert set(WORDS) == set(WakeStep)
    assert {step.state for step in WORDS} == set(WakeState)
