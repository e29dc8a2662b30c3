"""Answers to judge, and servers that judge them, for the tests of this folder."""

from collections.abc import Callable

from components.core.schemas import Answer, Fact
from components.core.tests.canned_server import Canned

NAMES = {
    "correctness": "правильность",
    "completeness": "полнота",
    "tone": "тон",
    "safety": "безопасность",
}


def row(number: int, answer: str | None = None, finish_reason: str = "stop") -> Answer:
    """An answer to the question of this number; right unless another text is given."""
    rate = f"{number},5%"
    return Answer(
        dialogue_id=f"d{number}",
        contender="tuned",
        intent="deposit_rate",
        product="sokol",
        question=f"Какая ставка по вкладу номер {number}?",
        reference=f"По вкладу номер {number} ставка {rate} годовых.",
        answer=f"Ставка {rate}." if answer is None else answer,
        facts=(Fact(name="rate", value=rate),),
        finish_reason=finish_reason,
        prompt_tokens=5,
        completion_tokens=5,
        latency_seconds=0.1,
        first_token_seconds=0.05,
    )


def criterion_of(prompt: str) -> str:
    """The criterion that a prompt asks for: it stands in the last line."""
    last = prompt.splitlines()[-1].lower()
    (found,) = [name for name, russian in NAMES.items() if russian in last]
    return found


def sure(score: int) -> Canned:
    """The reply of a judge who has no doubt."""
    return Canned(str(score), top={str(score): 1.0})


def by_criterion(**replies: Canned) -> Callable[[str], Canned]:
    """A judge with one reply for each criterion, and 5 for those not named."""
    return lambda prompt: replies.get(criterion_of(prompt), sure(5))
