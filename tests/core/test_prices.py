"""What tokens cost: to the millionth of a dollar, and never nothing by silence."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from innkeeper.broker import anthropic, openai
from innkeeper.broker.demo import DEMO_MODEL
from innkeeper.core.budget_errors import ModelNotPriced, PricesInvalid
from innkeeper.core.prices import Price, PriceTable, price_table, read_prices
from innkeeper.core.usage import Tokens

HEAD = 'source = "a contract"\ndate = 2026-11-20\n'
ONE = '[[prices]]\nmodels = ["m-*"]\ninput = 3\noutput = 15\ncache_read = 0.3\ncache_write = 3.75\n'
TWO = '[[prices]]\nmodels = ["n"]\ninput = 5\noutput = 10\n'


def table(text: str) -> PriceTable:
    return price_table(tomllib.loads(text))


def test_each_kind_has_its_price_and_sums_are_rounded_up() -> None:
    price = table(HEAD + ONE).of("m-1").price
    assert price.of(Tokens(input=1_000_000, output=1_000_000)) == 18_000_000
    assert price.of(Tokens(cache_read=10, cache_write=100)) == 378
    assert price.of(Tokens(cache_read=1)) == 1, "a third of a millionth"
    assert price.of(Tokens()) == 0
    assert price.at_most(100, 1) == 390, "all of it may be written to a cache"


def test_cached_input_without_a_price_costs_what_input_does() -> None:
    assert table(HEAD + TWO).of("n").price == Price(
        input=5_000_000, output=10_000_000, cache_read=5_000_000, cache_write=5_000_000
    )


def test_the_first_pattern_that_fits_counts() -> None:
    both = table(HEAD + ONE + TWO.replace('"n"', '"*"'))
    assert both.of("m-1").price.input == 3_000_000
    assert both.of("other").price.input == 5_000_000
    assert both.of("other").known


def test_an_unknown_model_costs_what_the_dearest_does_kind_by_kind() -> None:
    priced = table(HEAD + ONE + TWO).of("x")
    assert not priced.known
    assert priced.price == Price(input=5_000_000, output=15_000_000, cache_read=5_000_000, cache_write=5_000_000)


def test_an_unknown_model_can_have_a_price_or_be_refused() -> None:
    fixed = table(HEAD + "unknown = { input = 1, output = 2 }\n" + ONE).of("x")
    assert (fixed.known, fixed.price.output) == (False, 2_000_000)
    with pytest.raises(ModelNotPriced):
        table(HEAD + 'unknown = "refuse"\n' + ONE).of("x")


@pytest.mark.parametrize(
    "text",
    [
        "",
        ONE,
        HEAD,
        HEAD + "prices = []",
        HEAD + "prices = [1]",
        HEAD.replace("2026-11-20", '"today"') + ONE,
        HEAD + 'unknown = "free"\n' + ONE,
        HEAD + "unknown = { input = 1 }\n" + ONE,
        HEAD + ONE + "cached = 1\n",
        HEAD + "currency = 'EUR'\n" + ONE,
        HEAD + ONE.replace("= 15", "= -15"),
        HEAD + ONE.replace("= 15", "= nan"),
        HEAD + ONE.replace("= 15", "= inf"),
        HEAD + ONE.replace("= 15", "= true"),
        HEAD + ONE.replace("= 15", '= "15"'),
        HEAD + ONE.replace("output = 15\n", ""),
        HEAD + ONE.replace('["m-*"]', '"m-*"'),
    ],
)
def test_what_cant_be_is_refused(text: str) -> None:
    with pytest.raises(PricesInvalid):
        table(text)


def test_a_file_that_cant_be_read_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(PricesInvalid):
        read_prices(tmp_path / "nothing.toml")
    (tmp_path / "broken.toml").write_bytes(b"\xff = [")
    with pytest.raises(PricesInvalid):
        read_prices(tmp_path / "broken.toml")


def test_the_built_in_table_says_where_it_is_from_and_knows_our_own_models() -> None:
    built_in = read_prices(None)
    assert built_in.source
    for model in (anthropic.DEFAULT_MODEL, openai.DEFAULT_MODEL, "claude-haiku-4-5-20251001", "gpt-5-mini"):
        priced = built_in.of(model)
        assert priced.known, model
        assert priced.price.of(Tokens(input=1, output=1)) > 0
    assert built_in.of(DEMO_MODEL).price.of(Tokens(input=1000, output=1000)) == 0
    assert built_in.of(DEMO_MODEL).known
    assert not built_in.of("gpt-5.4-pro").known, "it isn't what gpt-5.4 costs"
