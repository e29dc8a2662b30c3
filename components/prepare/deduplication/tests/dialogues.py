"""Dialogues for tests."""

from components.core.schemas import Dialogue, Split, Turn

LONG_ANSWER = (
    "Ставка по вкладу зависит от срока и суммы, проценты начисляются каждый месяц и "
    "прибавляются к вкладу, а снять деньги раньше срока можно в любом отделении без комиссии"
)


def make(
    name: str,
    question: str,
    answer: str = "",
    *,
    user: str = "",
    family: str = "",
    intent: str = "rates",
    product: str = "",
    source: str = "own:bank",
    split: Split = "unassigned",
) -> Dialogue:
    """A dialogue; a user of its own and an answer of its own unless given."""
    return Dialogue(
        dialogue_id=name,
        request_id=f"req-{name}",
        response_id=f"rsp-{name}",
        user_id=user or f"usr-{name}",
        turns=(
            Turn(role="user", content=question),
            Turn(role="assistant", content=answer or f"Ответ номер {name}."),
        ),
        intent=intent,
        product=product,
        phrasing_family=family,
        source=source,
        split=split,
        licence="own",
    )


def question(number: int) -> str:
    """Six words; two numbers share none."""
    return " ".join(f"слово{number}x{place}" for place in range(6))
