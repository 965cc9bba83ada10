"""What is hidden and what looks like a credential goes from every text, at a cost that nobody notices."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.core import redaction
from innkeeper.core.credential_patterns import PATTERNS
from innkeeper.core.known_secrets import MARK, SHORTEST, KnownSecrets
from innkeeper.core.redaction import hide, redact, redacted

AWKWARD = 'se"cret\\with/ev+ery&thing=in it…ünd ☃ mehr'
PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQC7\n-----END PRIVATE KEY-----\n"


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> KnownSecrets:
    """Nothing known from other tests, and nothing left for them."""
    mine = KnownSecrets()
    monkeypatch.setattr(redaction, "_known", mine)
    return mine


# --- by value ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelled",
    [
        AWKWARD,
        json.dumps(AWKWARD),
        json.dumps(AWKWARD, ensure_ascii=False),
        json.dumps(json.dumps(AWKWARD)),
        json.dumps(AWKWARD).replace("/", "\\/"),
        repr(AWKWARD),
        repr(AWKWARD.encode()),
        json.dumps({"error": repr(AWKWARD.encode())}),
        quote(AWKWARD),
        quote(AWKWARD, safe=""),
        quote_plus(AWKWARD),
        base64.b64encode(AWKWARD.encode()).decode(),
        *(base64.b64encode(f"{user}:{AWKWARD}!!".encode()).decode() for user in ("a", "ab", "abc")),
        *(base64.urlsafe_b64encode(f"{user}:{AWKWARD}".encode()).decode() for user in ("a", "ab", "abc")),
    ],
)
def test_a_secret_goes_however_it_is_spelled(spelled: str) -> None:
    hide(AWKWARD)
    left = redact(f"before {spelled} after")
    for part in ("cret", "with", "ery", "thing", "mehr", base64.b64encode(AWKWARD.encode()).decode()[8:30]):
        assert part not in left
    assert left.startswith("before ")
    assert left.endswith(" after")


def test_a_secret_of_many_lines_goes_line_by_line() -> None:
    hide('{\n  "user": "somebody-special",\n  "pin": "90210-1138"\n}')
    assert redact('got   "pin": "90210-1138" from it') == f'got   "{MARK}" from it'
    assert redact("a { of } no meaning") == "a { of } no meaning"


def test_a_part_of_a_long_secret_goes_too() -> None:
    secret = "".join(f"{number:04x}" for number in range(3000))
    hide(secret)
    assert redact(f"it said {secret[:640]}") == f"it said {MARK}"
    assert len(redact(secret)) < 10


def test_overlapping_secrets_go_together() -> None:
    hide("abcdefgh")
    hide("efghijkl")
    hide("efghijkl-and-more")
    assert redact("x abcdefghijkl-and-more y") == f"x {MARK} y"


def test_short_ones_stay() -> None:
    hide("word!")
    hide("")
    hide("\n\n\n\n\n\n\n")
    assert redact("a word! here") == "a word! here"


ORDINARY = [
    "running",
    "acme-corp",
    "The tenant is awake",
    'level": "info',
    "2026-11-26T16:23:28Z",
    "10.65.0.12",
    "fd00::1",
    "ann@example.com",
]


@pytest.mark.parametrize("word", ORDINARY)
def test_whoever_chooses_a_secret_blots_nothing_out_that_is_said_of_others(word: str) -> None:
    for secret in (word, f"{word}\n", f"first\n{word}\nlast"):
        hide(secret, for_s=60, chosen=True)
    assert redact(f"x {word} y") == f"x {word} y"
    hide(word)  # the operator's own is hidden whatever it is
    assert redact(f"x {word} y") == f"x {MARK} y"


@pytest.mark.parametrize("secret", ["hunter2", "Tr0ub4dor", "correct horse battery staple", "P@ss.word1", "QWERTYUIOP"])
def test_what_somebody_has_chosen_is_hidden_if_it_may_be_a_secret(secret: str) -> None:
    hide(secret, for_s=60, chosen=True)
    assert redact(f"x {secret} y") == f"x {MARK} y"


def test_what_the_code_calls_a_member_stays_whatever_somebody_hides() -> None:
    hide("tenant_id")
    hide("Canary-1")
    assert redacted({"tenant_id": "a", "Canary-1": "b"}) == {"tenant_id": "a", MARK: "b"}


# --- what is remembered -----------------------------------------------------------------------------------------------


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def _found(known: KnownSecrets, secret: str) -> bool:
    return bool(list(known.spans(f"<{secret}>")))


def test_what_has_run_out_makes_room_the_oldest_first_and_the_living_stay() -> None:
    clock = Clock()
    known = KnownSecrets(room=20_000, clock=clock)
    known.hide("for-ever-and-ever")
    known.hide("still-in-use-0001", for_s=1e9)
    for number in range(1000):
        clock.now += 10
        known.hide(f"short-lived-{number:05}", for_s=60)
        assert known.size <= 20_000
    assert _found(known, "for-ever-and-ever")
    assert _found(known, "still-in-use-0001")
    assert not _found(known, "short-lived-00000")
    for number in range(994, 1000):
        assert _found(known, f"short-lived-{number:05}")


def test_a_secret_that_is_hidden_again_lives_on() -> None:
    clock = Clock()
    known = KnownSecrets(room=2_000, clock=clock)
    known.hide("again-and-again", for_s=60)
    for number in range(100):
        clock.now += 50
        known.hide("again-and-again", for_s=60)
        known.hide(f"only-once-{number:05}", for_s=1)
    assert _found(known, "again-and-again")
    known.hide("again-and-again")  # now for good
    clock.now += 1e9
    for number in range(100):
        known.hide(f"only-twice-{number:05}", for_s=1)
    assert _found(known, "again-and-again")


def test_the_living_may_take_more_than_the_room() -> None:
    known = KnownSecrets(room=1_000)
    for number in range(200):
        known.hide(f"all-alive-{number:05}")
    assert all(_found(known, f"all-alive-{number:05}") for number in range(200))


def test_two_that_share_a_line_are_forgotten_one_by_one() -> None:
    clock = Clock()
    known = KnownSecrets(room=3_000, clock=clock)
    known.hide("a-shared-line\nfirst-of-both", for_s=1)
    known.hide("a-shared-line\nsecond-of-both")
    clock.now = 10
    for number in range(100):
        known.hide(f"only-once-{number:05}", for_s=0)
    assert not _found(known, "first-of-both")
    assert _found(known, "a-shared-line")


# --- by pattern -------------------------------------------------------------------------------------------------------

TOKEN = "0123456789abcdefABCDEF"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("${KEY:-ik_b_0123456789}", "${KEY:-ik_b_…}"),
        ("sk-ant-api03-AbC_123-456", "sk-…"),
        (
            "Incorrect API key provided: sk-proj-********abcd.",
            "Incorrect API key provided: sk-….",
        ),
        ("AKIAIOSFODNN7EXAMPLE", "AKIA…"),
        ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "ghp_…"),
        ("gho_16C7e42F292c6912E7710c838347Ae178B4a", "gho_…"),
        ("github_pat_11ABCDEFG0123456789_abcdef", "github_pat_…"),
        ("xoxb-123456789012-abcdefGHIJ", "xoxb-…"),
        ("/bot123456789:AAF-abcdefghijklmnopqrstuvwxyz_0123456/getMe", "/bot123456789:…/getMe"),
        ("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl!", "got eyJ…!"),
        (f"see {PEM}and go on", "see -----BEGIN PRIVATE KEY-----…\nand go on"),
        (json.dumps({"pem": PEM}), '{"pem": "-----BEGIN PRIVATE KEY-----…\\n"}'),
        ("postgres://inn:hunter2@db/inn?password=hunter2", "postgres://inn:…@db/inn?password=…"),
        (f"https://x.test/hook?token={TOKEN}&a=1", "https://x.test/hook?token=…&a=1"),
        (f"/cb?code={TOKEN}&state=abcdefg", "/cb?code=…&state=…"),
        (f"?key={TOKEN}", "?key=…"),
        ('{"password": "correct horse \\" battery", "a": 1}', '{"password": "…", "a": 1}'),
        ("{'api_key': 'abc', 'a': 1}", "{'api_key': '…', 'a': 1}"),
        (json.dumps(json.dumps({"client_secret": "ab c", "a": 1})), r'"{\"client_secret\": \"…\", \"a\": 1}"'),
        ("OPENAI_API_KEY=0123456789 next", "OPENAI_API_KEY=… next"),
        (f"authorization: {TOKEN}", "authorization: …"),
        (f"X-Auth-Token: {TOKEN}", "X-Auth-Token: …"),
        (
            f"[(b'x-api-key', b'{TOKEN}'), (b'cookie', b'sid={TOKEN}; b=c')]",
            "[(b'x-api-key', b'…'), (b'cookie', b'…')]",
        ),
        ("Set-Cookie: sid=123456; HttpOnly", "Set-Cookie: …"),
        ("password=\x1b[35mhunter22\x1b[0m", "password=\x1b[35m…\x1b[0m"),
        (
            "DETAIL:  Failing row contains (1, ben, hunter22).\nCONTEXT: x",
            "DETAIL:  Failing row contains (…\nCONTEXT: x",
        ),
        ("DETAIL:  Key (mail)=(ben@example.com) already exists.", "DETAIL:  Key (mail)=(…"),
    ],
)
def test_what_looks_like_a_credential_goes(text: str, kept: str) -> None:
    assert redact(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "There is no secret 'mail' in the vault; set it with `innkeeper secret set`.",
        "`limits.memory_mb`: input should be greater than or equal to 64.",
        '{"max_tokens": 1024, "tokens": 12345678, "token": null, "secret_name": "MAIL_KEY"}',
        "risk-averse desk-bound task-force; 2026-11-26T15:17:31.123456Z 127.0.0.1:8700 sha256:0123456789abcdef",
        "http://alice.localhost:8080/v1/chat?wait=30 is at http://10.64.0.2:18789/health",
        "ik_k_ is how keys begin, ik_a_abc is too short",
        "The cookie is gone. A basic idea, a bearer of news.",
        "Key (name) is missing",
    ],
)
def test_what_only_speaks_of_them_stays(text: str) -> None:
    assert redact(text) == text


# --- properties -------------------------------------------------------------------------------------------------------

SCRAPS = st.sampled_from(
    ["ik_k_", "sk-", "eyJ", ".", "-----BEGIN PRIVATE KEY-----", "-----END", "-----", "://", "@", ":", "=", " ", '"',
     "'", "\\", "\\\"", "\n", "bearer ", "Basic ", "cookie", "Cookie: ", "token", "password", "api_key", "&", ",",
     "authorization: ", "?code=", "DETAIL:  Key (a)=(", "123456789:", "A" * 35, "abcdef", "x", "ghp_", "AKIA", MARK,
     "\x1b[0m", "b'", "(b'x-api-key', b'"]
)  # fmt: skip
TEXTS = st.lists(SCRAPS | st.text(max_size=8), max_size=30).map("".join)
SECRETS = st.lists(TEXTS.filter(lambda text: len(text) < 60) | st.text(min_size=SHORTEST, max_size=40), max_size=4)


@given(secrets=SECRETS, text=TEXTS)
def test_redacting_twice_is_redacting_once_and_never_lengthens(secrets: list[str], text: str) -> None:
    redaction._known = KnownSecrets()
    for secret in secrets:
        hide(secret)
    mixed = text + "".join(f"{secret}{text[:9]}" for secret in secrets)
    once = redact(mixed)
    assert redact(once) == once
    assert len(once) <= len(mixed)


@given(secret=st.text(min_size=SHORTEST, max_size=400), before=TEXTS, after=TEXTS)
def test_a_known_secret_is_never_left_whole(secret: str, before: str, after: str) -> None:
    redaction._known = KnownSecrets()
    hide(secret)
    core = max((part.strip(" \t\r\n\"'\\") for part in secret.split(MARK)), key=len)
    if len(core) >= SHORTEST and not core.startswith("-----"):
        assert core not in redact(before + secret + after)


@given(value=TEXTS, name=TEXTS)
def test_a_line_of_json_stays_one(value: str, name: str) -> None:
    redaction._known = KnownSecrets()
    line = json.dumps({name: value, "event": [value, name], "password": value}, ensure_ascii=False)
    kept = json.loads(redact(line))
    assert list(kept)[-2:] == ["event", "password"] or name in ("event", "password")


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.name)
@pytest.mark.parametrize(
    "unit",
    ["eyJaaaaaaaa-", "eyJaaaaaaaa.", "://a:", "://", "cookie: ", "token='", 'token="\\', "password=", "(b'cookie', '",
     "-----BEGIN PRIVATE KEY-----", "DETAIL:  Key (a)=(", "a", " ", "1", "bearer ", "bearer a", "ik_k_a", "?code=",
     "123456789:", "token \x1b[", "\\", 'token":"', 'token": "a" '],
)  # fmt: skip
def test_no_pattern_can_be_made_to_stall(pattern: object, unit: str) -> None:
    """A quarter of a megabyte of what it likes best: in quadratic time, this would outlast the test's timeout."""
    text = unit * (250_000 // len(unit))
    for each in PATTERNS:
        if each is pattern:
            each.form.sub(each.left, text)


def test_a_document_is_redacted_through_and_through() -> None:
    hide("the-canary-sings")
    document = {"a": ["x the-canary-sings", {"the-canary-sings": 1}], "b": 2, "c": None, "d": ("sk-123456789",)}
    assert redacted(document) == {"a": ["x …", {"…": 1}], "b": 2, "c": None, "d": ("sk-…",)}
