"""The price of tokens, reported or estimated."""

import pytest

from components.core.llm import Completion
from components.core.prices import Prices, cost_per_thousand, money, with_usage
from components.core.schemas import Answer, Turn

PRICES = Prices(prompt=100, completion=400)


def answer(prompt_tokens: int, completion_tokens: int) -> Answer:
    return Answer(
        dialogue_id="d", contender="c", intent="i", product="p", question="q", reference="r",
        answer="a", facts=(), finish_reason="stop", prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens, latency_seconds=1, first_token_seconds=0.5,
    )  # fmt: skip


def completion(text: str, prompt_tokens: int, completion_tokens: int) -> Completion:
    return Completion(
        text=text, finish_reason="stop", prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens, latency_seconds=1, first_token_seconds=0.5, retries=0,
    )  # fmt: skip


def test_money_is_by_the_million_tokens() -> None:
    assert money(1_000_000, 500_000, PRICES) == pytest.approx(300)
    assert money(10, 10, Prices()) == 0


def test_a_thousand_answers_cost_what_the_mean_one_does() -> None:
    rows = [answer(100, 50), answer(300, 150), answer(0, 0)]
    mean = (400 * 100 + 200 * 400) / 1_000_000 / 3
    assert cost_per_thousand(rows, PRICES) == pytest.approx(1000 * mean)


def test_what_is_not_known_costs_nobody_knows_what() -> None:
    assert cost_per_thousand([answer(100, 50)], None) is None
    assert cost_per_thousand([], PRICES) is None
    assert cost_per_thousand([answer(100, 50)], Prices()) == 0


def test_tokens_are_estimated_only_where_nobody_counted_them() -> None:
    said = (Turn(role="system", content="абв"), Turn(role="user", content="где"))
    counted = completion("ответ", 7, 0)
    assert with_usage(counted, said) == (counted, False)
    estimate, estimated = with_usage(completion("ответ", 0, 0), said)
    assert (estimate.prompt_tokens, estimate.completion_tokens, estimated) == (3, 3, True)
