"""What became of a question: answered, or which way it failed, and the score that follows."""

from typing import Literal, TypeAlias, get_args

from components.core.facts import fact_share
from components.core.schemas import Answer

Outcome: TypeAlias = Literal["answered", "cut off", "empty", "blocked", "timeout", "error"]

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


def outcome(answer: Answer) -> Outcome:
    """Names what became of a question.

    Args:
        answer: The answer; its `finish_reason` is the endpoint's word, or `error: cause` or
            `timeout: cause`.

    Returns:
        `error` (no answer came), `timeout` (not within the deadline), `blocked` (the provider's
        filter: `blacklist` or `content_filter`), `empty`, `cut off` (at the token limit), or
        `answered`.
    """
    reason = answer.finish_reason.partition(":")[0]
    if reason in ("error", "timeout"):
        return "error" if reason == "error" else "timeout"
    if reason in ("blacklist", "content_filter"):
        return "blocked"
    if not answer.answer.strip():
        return "empty"
    return "cut off" if reason == "length" else "answered"


def exact_fact_score(answer: Answer) -> float | None:
    """Scores an answer by its exact facts.

    Args:
        answer: The answer with the facts required of it.

    Returns:
        The share of required facts that it states, in [0, 1]; 0 for an error or a timeout, since
        the customer got no answer, whatever part of it had come; None when no fact was required.
    """
    if not answer.facts:
        return None
    return (
        0.0 if outcome(answer) in ("error", "timeout") else fact_share(answer.facts, answer.answer)
    )
