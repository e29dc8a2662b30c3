"""What tokens cost, and how many there were where an endpoint does not say so."""

from collections.abc import Sequence
from math import ceil

from pydantic import BaseModel, ConfigDict, Field

from components.core.llm import Completion, Messages
from components.core.schemas import Answer

CHARACTERS_PER_TOKEN = 2
"""For an endpoint that reports no usage: about what Russian text has under cl100k, rounded down,
so that money is rather overestimated."""


class Prices(BaseModel):
    """What an endpoint costs for a million tokens; 0 for our own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: float = Field(default=0.0, ge=0)
    completion: float = Field(default=0.0, ge=0)
    currency: str = Field(default="RUB", min_length=1)
    """Only a label: nothing is converted."""


def money(prompt_tokens: int, completion_tokens: int, prices: Prices) -> float:
    """Gives the price of some tokens, in the prices' currency."""
    return (prompt_tokens * prices.prompt + completion_tokens * prices.completion) / 1_000_000


def cost_per_thousand(answers: Sequence[Answer], prices: Prices | None) -> float | None:
    """Gives what a thousand questions cost, at the mean of some that were asked.

    Failed answers count with the tokens that the endpoint reported for them, mostly none; tries
    that the endpoint put off are free.

    Args:
        answers: One a question.
        prices: The contender's; None when they are not known.

    Returns:
        Money in the prices' currency; None without prices or answers.
    """
    if prices is None or not answers:
        return None
    prompt = sum(answer.prompt_tokens for answer in answers)
    completion = sum(answer.completion_tokens for answer in answers)
    return 1000 * money(prompt, completion, prices) / len(answers)


def with_usage(completion: Completion, messages: Messages) -> tuple[Completion, bool]:
    """Estimates the tokens of a reply whose endpoint did not report them.

    Args:
        completion: The reply.
        messages: What was asked.

    Returns:
        The reply with its tokens, and whether they are an estimate.
    """
    if completion.prompt_tokens or completion.completion_tokens:
        return completion, False
    asked = sum(len(turn.content) for turn in messages)
    tokens = {
        "prompt_tokens": ceil(asked / CHARACTERS_PER_TOKEN),
        "completion_tokens": ceil(len(completion.text) / CHARACTERS_PER_TOKEN),
    }
    return completion.model_copy(update=tokens), True
