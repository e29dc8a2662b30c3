"""Failures, grouped by what they are: of contenders, and of the judge."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from components.core.outcomes import outcome
from components.core.schemas import Answer
from components.evaluate.opinions import judge_failure

LONGEST_CAUSE = 200
"""Characters of a cause that are shown; an endpoint's error can be a whole page."""


@dataclass(frozen=True)
class Failure:
    """Questions that failed in one way."""

    contender: str
    kind: str
    """The outcome of an answer, or the cause of a judge that gave no score."""
    cause: str
    """In the endpoint's words; may be empty."""
    count: int
    question: str
    """One of them."""


def answer_failures(contenders: Sequence[Sequence[Answer]]) -> list[Failure]:
    """Groups the questions without a proper answer.

    Args:
        contenders: Answers of each.

    Returns:
        By contender, outcome and cause, in the contenders' order, the most frequent first.
    """
    failed = (
        (answer, outcome(answer), answer.finish_reason.partition(": ")[2])
        for answers in contenders
        for answer in answers
        if outcome(answer) != "answered"
    )
    return _grouped(failed)


def judge_failures(contenders: Sequence[Sequence[Answer]]) -> list[Failure]:
    """Groups the answers that the judge was asked about and gave no overall score.

    Args:
        contenders: Answers of each.

    Returns:
        By contender and cause, in the contenders' order, the most frequent first.
    """
    causes = (
        (answer, judge_failure(answer).partition(": "))
        for answers in contenders
        for answer in answers
        if judge_failure(answer)
    )
    return _grouped((answer, kind, cause) for answer, (kind, _, cause) in causes)


def _grouped(failed: Iterable[tuple[Answer, str, str]]) -> list[Failure]:
    groups: dict[tuple[str, str, str], list[Answer]] = defaultdict(list)
    for answer, kind, cause in failed:
        groups[answer.contender, kind, cause[:LONGEST_CAUSE]].append(answer)
    contenders = list(dict.fromkeys(contender for contender, _, _ in groups))
    found = [
        Failure(contender, kind, cause, len(answers), answers[0].question)
        for (contender, kind, cause), answers in groups.items()
    ]
    return sorted(found, key=lambda one: (contenders.index(one.contender), -one.count))
