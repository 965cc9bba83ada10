"""What somebody who waits for a tenant is shown: a page that follows it up, and the answers that the page asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from http import HTTPStatus
from string import Template

from innkeeper.core.errors import Problem, TenantAsleep, TenantFailed, TenantNotReady
from innkeeper.core.waking import WakeState, WakeStep, Waking
from innkeeper.edge.page import html_page, part
from innkeeper.edge.raw import answer
from innkeeper.problems import retry_after_s, status_of

PATH = b"/.innkeeper/waking"
"""On every tenant's host, where its page asks how far it is. The gate answers there; no tenant ever sees it."""

WORDS: Mapping[WakeStep, str] = {
    WakeStep.TURN: "Waiting for its turn",
    WakeStep.START: "Starting",
    WakeStep.ANSWER: "Started, waiting for it to answer",
    WakeStep.READY: "Ready",
    WakeStep.FAILED: "It can't be started at present. Whoever runs it has to look into it.",
    WakeStep.ORDERED: "It was put to sleep on purpose, and only whoever runs it can wake it.",
    WakeStep.RESTING: "It isn't awake, and nobody is waking it any more. Try again to wake it.",
    WakeStep.NO_ROOM: "Its server has no room for it just now. Try again in a few minutes.",
}
"""What people read; names of steps and states are for programs."""

_WAY = (WakeStep.TURN, WakeStep.START, WakeStep.ANSWER)
_WAITING = Template(part("waiting.html"))
_SCRIPT = part("waiting.js")
_SLOW_S = 60

_AS: Mapping[WakeState, type[Problem]] = {WakeState.FAILED: TenantFailed, WakeState.ASLEEP: TenantAsleep}
"""Status and patience are those of the problem that a program is told."""


def waiting_page(waking: Waking, host: str) -> bytes:
    """The page for a tenant that isn't open; `host` is what the visitor asked for, and all that it says of the tenant.

    A 503 that isn't to be stored, so that no cache and no crawler takes it for the tenant's own page.
    """
    state, words = waking.step.state, WORDS[waking.step]
    problem = _AS.get(state, TenantNotReady)("")
    again_s = retry_after_s(problem)
    body = _WAITING.substitute(
        state=state,
        note="slow" if state.coming and waking.elapsed_s > max(_SLOW_S, 3 * (waking.usual_s or 0)) else "",
        host=escape(host),
        parted_host=escape(host).replace(".", ".<wbr>"),
        elapsed_s=round(waking.elapsed_s, 1),
        usual_s="" if waking.usual_s is None else round(waking.usual_s, 1),
        bars="".join(_bars(waking.step)),
        step=words if waking.position is None else "{}: {} of {}".format(words, *waking.position),
        time=_time(waking),
        again_s=again_s,
    )
    title = f"{words} · {host}" if state.coming else host
    headers, document = html_page(title=title, body=body, script=_SCRIPT, refresh_s=again_s)
    return answer(HTTPStatus(status_of(problem)), [f"Retry-After: {again_s}", *headers], document)


def progress_answer(waking: Waking) -> bytes:
    """The same for the page's script."""
    position, of = waking.position or (None, None)
    told = {
        "state": waking.step.state,
        "step": WORDS[waking.step],
        "position": position,
        "of": of,
        "elapsed_s": round(waking.elapsed_s, 1),
        "usual_s": None if waking.usual_s is None else round(waking.usual_s, 1),
    }
    headers = ["Content-Type: application/json", "X-Content-Type-Options: nosniff"]
    return answer(HTTPStatus.OK, headers, json.dumps(told))


def _bars(now: WakeStep) -> list[str]:
    at = _WAY.index(now) if now in _WAY else len(_WAY)
    looks = ["done"] * at + ["now"] + [""] * len(_WAY)
    return [
        f'<i class="{look}" data-step="{escape(WORDS[step])}"></i>' for step, look in zip(_WAY, looks, strict=False)
    ]


def _time(waking: Waking) -> str:
    so_far = f"{_span(waking.elapsed_s)} so far"
    return so_far if waking.usual_s is None else f"{so_far}, usually about {_span(max(1, waking.usual_s))}"


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
