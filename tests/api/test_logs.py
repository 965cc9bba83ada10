"""No secret gets into a log line, by whatever way it tries."""

from __future__ import annotations

import io
import json
import logging

import pytest
import structlog

from innkeeper.core.redaction import hide, redact

CANARY = 'canary-7f3a"with-a-quote'


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("key ik_k_ULdwkaDjsMsVZQB0XvN1IxV0wijtYEKAKzU1ONGhf_c used", "key ik_k_… used"),
        ("OPENAI_API_KEY=sk-proj-abc_DEF-1234567890", "OPENAI_API_KEY=sk-…"),
        ("authorization: Bearer abc.def-ghi_jkl=", "authorization: Bearer …"),
        ('{"authorization": "Basic YWRtaW46YWRtaW4="}', '{"authorization": "Basic …"}'),
        ("x-api-key: 0123456789abcdef", "x-api-key: …"),
        ("postgresql+psycopg://inn:hunter2@db/inn", "postgresql+psycopg://inn:…@db/inn"),
        ("a task-force of bearers, ask-me-anything-now", "a task-force of bearers, ask-me-anything-now"),
    ],
)
def test_what_looks_like_a_credential_goes(text: str, kept: str) -> None:
    assert redact(text) == kept


def test_no_way_into_the_log_lets_a_known_secret_through(logged: io.StringIO) -> None:
    hide(CANARY)
    log = structlog.get_logger("test")
    log.info(f"in the event {CANARY}", field=CANARY, nested={"deep": [CANARY, {"er": CANARY.encode()}]})
    logging.getLogger("some.library").warning("from elsewhere %s", CANARY)
    try:
        int(CANARY)
    except ValueError:
        log.exception("it broke", local=CANARY)
        logging.getLogger("some.library").exception("it broke there, too")
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    assert len(lines) == 4
    assert "7f3a" not in logged.getvalue()
    assert [line["level"] for line in lines] == ["info", "warning", "error", "error"]
    assert "ValueError: invalid literal" in lines[2]["exception"]


def test_the_level_is_kept(logged: io.StringIO) -> None:
    structlog.get_logger("test").debug("whisper")
    logging.getLogger("httpx2").info("chatter")
    assert logged.getvalue() == ""
