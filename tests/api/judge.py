"""What every problem document of the API must be like."""

from __future__ import annotations

from typing import Any

import httpx2

from innkeeper.cli.reference.errors_page import problems

CODES = {problem.code for problem in problems()}


def judged(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document, which has all that it should have."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    problem: dict[str, Any] = answer.json()
    assert (problem["status"], problem["code"]) == (status, code), problem
    assert code in CODES
    assert problem["detail"].endswith((".", "?"))
    assert problem["title"]
    assert problem["type"] == f"urn:innkeeper:problem:{code}"
    assert answer.headers["x-request-id"].startswith("req_")
    return problem
