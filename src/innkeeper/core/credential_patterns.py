"""What credentials look like when nobody has told us their value.

Every pattern takes linear time: what it repeats is possessive, bounded, or ends where another begins.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from innkeeper.core.known_secrets import MARK


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """A form of credentials: what is looked for, and what is left of it."""

    name: str
    signs: tuple[str, ...]
    """In small letters: where none of these stands, the form can't be. Looking for them is quick."""
    form: re.Pattern[str]
    left: str


def _pattern(name: str, *signs: str, form: str, left: str = MARK) -> Pattern:
    return Pattern(name=name, signs=signs, form=re.compile(form.replace("MARK", MARK)), left=left.replace("MARK", MARK))


_CHARACTERS = r"[A-Za-z0-9_-]"
_COLOUR = r"(?:\x1b\[[0-9;]{0,8}m){0,4}"  # a log for people has it between name and value
_NAMES = (
    r"(?i:pass(?:word|wd|phrase)|secret|token|api[_-]?key|private[_-]?key|access[_-]?key|x-auth-token|"
    r"(?<!proxy-)authorization)"
)
_SEPARATOR = rf"{_COLOUR}\s?[=:]\s?{_COLOUR}"
_FROM_HERE = r"(?!(?i:bearer|basic)\s)"  # those have a pattern of their own, which leaves more to read

PATTERNS: Sequence[Pattern] = (
    _pattern("Innkeeper's own", "ik_", form=rf"(?<![A-Za-z0-9])ik_([a-z])_{_CHARACTERS}{{6,}}", left=r"ik_\1_MARK"),
    _pattern("Anthropic, OpenAI and alike", "sk-", form=r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_*-]{8,}", left="sk-MARK"),
    _pattern("AWS", "akia", "asia", form=r"(?<![A-Za-z0-9])(AKIA|ASIA)[A-Z0-9]{12,}", left=r"\1MARK"),
    _pattern(
        "GitHub", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_",
        form=r"(?<![A-Za-z0-9])(gh[pousr]_|github_pat_)[A-Za-z0-9_]{10,}", left=r"\1MARK",
    ),
    _pattern("Slack", "xox", form=r"(?<![A-Za-z0-9])(xox[abeoprs])-[A-Za-z0-9-]{8,}", left=r"\1-MARK"),
    _pattern("Google", "aiza", form=rf"(?<![A-Za-z0-9])AIza{_CHARACTERS}{{30,}}", left="AIzaMARK"),
    # https://core.telegram.org/bots/api#authorizing-your-bot; in its URLs `bot` stands before the number
    _pattern("Telegram's bots", ":", form=rf"(?<!\d)(\d{{8,10}}):{_CHARACTERS}{{35,}}", left=r"\1:MARK"),
    _pattern(
        "JSON Web Tokens", "eyj",
        form=rf"(?<![A-Za-z0-9_])eyJ{_CHARACTERS}{{8,2000}}+\.{_CHARACTERS}{{8,}}+(?:\.{_CHARACTERS}*+)?",
        left="eyJMARK",
    ),
    _pattern(
        "private keys in PEM", "-----begin",
        form=r"(-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----)(?!MARK)(?:(?!-----)[^\"'\\]|\\[^\"'])++"
        r"(?:-----END [A-Z ]{0,30}-----)?",
        left=r"\1MARK",
    ),
    _pattern(
        "schemes of Authorization", "bearer", "basic", form=r"\b((?i:bearer|basic)) +[A-Za-z0-9._~+/=-]{6,}",
        left=r"\1 MARK",
    ),
    _pattern(
        "cookies", "cookie",
        form=rf"\b((?i:set-cookie|cookie)(?:\\?[\"'])?{_SEPARATOR}(?:\\?[\"'])?)[^\"'\r\n\\]{{6,}}+",
        left=r"\1MARK",
    ),
    _pattern(
        "headers in tuples", "cookie", "token", "key", "authorization",
        form=rf"(\(b?[\"'](?:[A-Za-z_-]{{0,40}}{_NAMES}|(?i:cookie|set-cookie))[\"'],\s?b?[\"']){_FROM_HERE}[^\"'\r\n\\]{{6,}}+",
        left=r"\1MARK",
    ),
    _pattern("passwords in URLs", "://", form=r"(://[^/\s:@\"']{0,200}:)[^/\s@\"']+@", left=r"\1MARK@"),
    _pattern(
        "queries", "key=", "code=", "state=", "sig=", "signature=", "ticket=",
        form=r"(?i)([?&](?:key|code|state|sig|signature|ticket)=)[^&\s\"'\\#]+", left=r"\1MARK",
    ),
    _pattern(
        "quoted values by name", "pass", "secret", "token", "key", "authorization",
        # A bare quote after a name without one, and then punctuation: there a string of JSON ends, and none begins.
        form=rf"({_NAMES}(\\?[\"'])?{_SEPARATOR}(\\?[\"'])(?(2)|(?!(?<=[^\\]\")[,:}}\]\s]))){_FROM_HERE}"
        r"(?:(?!\3)(?:\\.|[^\\\r\n\"]))++",
        left=r"\1MARK",
    ),
    _pattern(
        "values by name", "pass", "secret", "token", "key", "authorization",
        form=rf"({_NAMES}(?:\\?[\"'])?{_COLOUR}(?:={_COLOUR}|: ?{_COLOUR})){_FROM_HERE}"
        r"(?!(?i:null|none|true|false)\b)(?:[^\s\"'&,;\\(){}\[\]<>\x1b]|\\[^nrtu\"']){6,}+",
        left=r"\1MARK",
    ),
    # PostgreSQL quotes rows: https://www.postgresql.org/docs/current/errcodes-appendix.html, class 23
    _pattern(
        "rows in a database's errors", "detail:",
        form=r"(DETAIL:\s{1,4}(?:Failing row contains |Key \([^)\n]{0,200}\)=)\()(?:\\[^n]|[^\n\"\\])++",
        left=r"\1MARK",
    ),
)  # fmt: skip


def without_patterns(text: str, patterns: Sequence[Pattern] = PATTERNS) -> str:
    """`text` without what looks like a credential."""
    small = text.lower()
    for pattern in patterns:
        for sign in pattern.signs:  # not `any`: a generator costs more than the looking
            if sign in small:
                text = pattern.form.sub(pattern.left, text)
                break
    return text
