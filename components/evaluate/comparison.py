"""A contender against the baseline, question by question: what it gained, and how sure that is."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

from components.core.errors import BadInputError
from components.core.llm import Frozen
from components.core.outcomes import exact_fact_score
from components.core.schemas import Answer
from components.core.stats import Interval, holm, paired_difference, paired_test
from components.evaluate.opinions import overall_score

Verdict = Literal["better", "worse", "no difference shown"]
Score: TypeAlias = Callable[[Answer], float | None]
"""Gives an answer's score, or None where it has none."""

GEVAL_TIE = 0.1
"""G-Eval's expectation is a decimal: two scores nearer than this, in points, are a tie."""


class Comparison(Frozen):
    """A contender against the baseline on one score, over the questions where both have it."""

    questions: int
    """Questions where both have a score."""
    difference: Interval
    """Mean of contender minus baseline, with its paired 95% bootstrap interval."""
    wins: int
    """Questions where the contender's score is higher."""
    ties: int
    losses: int
    p_value: float
    """Of the paired randomization test, two-sided: no difference of the means."""
    p_holm: float
    """The same, corrected by Holm for the number of contenders that were tested."""
    verdict: Verdict
    """By whether the interval excludes 0."""


class Pairs(NamedTuple):
    """Scores of both sides over the same questions."""

    ours: Sequence[float]
    theirs: Sequence[float]


def compare_facts(candidate: Sequence[Answer], baseline: Sequence[Answer]) -> Comparison | None:
    """Compares two contenders by the share of required facts that they state.

    Args:
        candidate: Answers of the contender.
        baseline: Answers of the baseline to the same questions, in any order.

    Returns:
        The comparison, as if this contender were the only one; None when no question requires a
        fact.

    Raises:
        BadInputError: The questions differ.
    """
    return _compare(paired_scores(candidate, baseline, exact_fact_score), tie=0.0)


def compare_geval(candidate: Sequence[Answer], baseline: Sequence[Answer]) -> Comparison | None:
    """Compares two contenders by the judge's overall score.

    Args:
        candidate: Answers of the contender.
        baseline: Answers of the baseline to the same questions, in any order.

    Returns:
        The comparison over the questions where the judge scored both, with a tie where the scores
        are less than `GEVAL_TIE` apart; None when there is no such question.

    Raises:
        BadInputError: The questions differ.
    """
    return _compare(paired_scores(candidate, baseline, overall_score), tie=GEVAL_TIE)


def criterion_differences(
    candidate: Sequence[Answer], baseline: Sequence[Answer]
) -> dict[str, Interval]:
    """Gives the mean difference of the judge's scores for each criterion.

    Args:
        candidate: Answers of the contender.
        baseline: Answers of the baseline to the same questions, in any order.

    Returns:
        Contender minus baseline with its paired 95% bootstrap interval, in points, for each
        criterion with a score on both sides of some question.

    Raises:
        BadInputError: The questions differ.
    """
    judged = [answer.judged for answer in candidate if answer.judged]
    names = dict.fromkeys(name for scores in judged for name in scores.scores)
    paired = {name: paired_scores(candidate, baseline, _of_criterion(name)) for name in names}
    return {name: paired_difference(*pairs) for name, pairs in paired.items() if pairs.ours}


def corrected(comparisons: Mapping[str, Comparison | None]) -> dict[str, Comparison | None]:
    """Corrects the p-values of one score for having compared several contenders.

    Args:
        comparisons: By contender; None where there is nothing to compare.

    Returns:
        The same with `p_holm` set.
    """
    found = {name: one for name, one in comparisons.items() if one}
    p_values = holm([one.p_value for one in found.values()])
    return dict(comparisons) | {
        name: one.model_copy(update={"p_holm": p_value})
        for (name, one), p_value in zip(found.items(), p_values, strict=True)
    }


def paired_scores(candidate: Sequence[Answer], baseline: Sequence[Answer], score: Score) -> Pairs:
    """Pairs the scores of two contenders by question.

    Args:
        candidate: Answers of the contender.
        baseline: Answers of the baseline to the same questions, in any order.
        score: Gives an answer's score.

    Returns:
        The scores of both over the questions where both have one, in the candidate's order.

    Raises:
        BadInputError: The questions differ.
    """
    of_baseline = {answer.dialogue_id: answer for answer in baseline}
    if {answer.dialogue_id for answer in candidate} != set(of_baseline):
        raise BadInputError(
            f"{candidate[0].contender} and {baseline[0].contender} answered different questions "
            f"({len(candidate)} and {len(baseline)}); ask both the same test file and limit."
        )
    scores = ((score(answer), score(of_baseline[answer.dialogue_id])) for answer in candidate)
    both = [(ours, theirs) for ours, theirs in scores if ours is not None and theirs is not None]
    return Pairs([ours for ours, _ in both], [theirs for _, theirs in both])


def _of_criterion(name: str) -> Score:
    return lambda answer: answer.judged.scores.get(name) if answer.judged else None


def _compare(pairs: Pairs, tie: float) -> Comparison | None:
    if not pairs.ours:
        return None
    difference = paired_difference(*pairs)
    gains = [ours - theirs for ours, theirs in zip(*pairs, strict=True)]
    wins = sum(gain > 0 and gain >= tie for gain in gains)
    losses = sum(gain < 0 and -gain >= tie for gain in gains)
    p_value = paired_test(*pairs)
    return Comparison(
        questions=len(gains),
        difference=difference,
        wins=wins,
        ties=len(gains) - wins - losses,
        losses=losses,
        p_value=p_value,
        p_holm=p_value,
        verdict=_verdict(difference),
    )


def _verdict(difference: Interval) -> Verdict:
    if difference.low > 0:
        return "better"
    return "worse" if difference.high < 0 else "no difference shown"
