"""What a judge thought of a contender's answers: means by criterion, and what has no score."""

from collections import Counter
from collections.abc import Sequence

from components.core.errors import BadInputError
from components.core.llm import Frozen
from components.core.schemas import Answer
from components.core.stats import Interval, bootstrap_interval


class Opinions(Frozen):
    """G-Eval of one contender; scores in [1, 5]."""

    judge: str
    rubric: str
    """With its version."""
    overall: Interval | None
    """Mean over the answers with a score for every criterion, with its 95% bootstrap interval."""
    criteria: dict[str, Interval]
    """By criterion, over the answers with a score for it, in the rubric's order."""
    judged: int
    """Answers that the judge was asked about."""
    scored: int
    """Those of them that have an overall score."""
    failures: dict[str, int]
    """Answers without one, by the first cause: `unparseable`, `error`, `timeout`."""

    @property
    def unscored(self) -> int:
        """Answers that the judge was asked about and could not score."""
        return self.judged - self.scored


def opinions(answers: Sequence[Answer]) -> Opinions | None:
    """Gathers what the judge thought of a contender's answers.

    Args:
        answers: Of one contender.

    Returns:
        Means and counts; None when no answer was judged.

    Raises:
        BadInputError: Several judges or rubrics were used, whose scores do not compare.
    """
    judged = [answer.judged for answer in answers if answer.judged]
    if not judged:
        return None
    judge, rubric = judged_by(answers)
    names = dict.fromkeys(name for scores in judged for name in scores.scores)
    overall = [scores.overall for scores in judged if scores.overall is not None]
    causes = Counter(_cause(answer) for answer in answers if answer.judged)
    return Opinions(
        judge=judge,
        rubric=rubric,
        overall=bootstrap_interval(overall) if overall else None,
        criteria={
            name: bootstrap_interval([s.scores[name] for s in judged if name in s.scores])
            for name in names
        },
        judged=len(judged),
        scored=len(overall),
        failures={name: count for name, count in sorted(causes.items()) if name},
    )


def judged_by(answers: Sequence[Answer]) -> tuple[str, str]:
    """Names the one judge and rubric of some answers.

    Args:
        answers: Of one contender or of several, at least one of them judged.

    Returns:
        The judge's model, and the rubric with its version.

    Raises:
        BadInputError: There are several.
    """
    found = sorted({(a.judged.judge, a.judged.rubric) for a in answers if a.judged})
    if len(found) > 1:
        listed = ", ".join(f"{judge} by {rubric}" for judge, rubric in found)
        raise BadInputError(
            f"Scores of different judges or rubrics do not compare; the answers of "
            f"{answers[0].contender} and of those beside it carry {listed}; judge all of them with "
            f"one."
        )
    return found[0]


def overall_score(answer: Answer) -> float | None:
    """Gives the judge's overall score of an answer, in [1, 5]; None where there is none."""
    return answer.judged.overall if answer.judged else None


def judge_failure(answer: Answer) -> str:
    """Says why the judge gave no overall score, for example `timeout: no reply in 120 s`.

    Args:
        answer: Judged or not.

    Returns:
        The first criterion's cause; empty where there is a score or no judge was asked.
    """
    if answer.judged is None or answer.judged.overall is not None:
        return ""
    return next(iter(answer.judged.failures.values()), "error: no cause was noted")


def _cause(answer: Answer) -> str:
    return judge_failure(answer).partition(":")[0]
