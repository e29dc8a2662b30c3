"""Ranks contenders against the baseline on the same questions, and says what that proves."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from components.core.errors import BadInputError
from components.core.outcomes import exact_fact_score
from components.core.schemas import Answer, LossPoint
from components.core.stats import Interval, paired_difference
from components.evaluate.measures import Measures, flat, measure

Verdict = Literal["better", "worse", "no difference shown"]


class Frozen(BaseModel):
    """Base of this module's values: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Comparison(Frozen):
    """A contender against the baseline, over the same questions."""

    difference: Interval
    """Exact-fact accuracy, contender minus baseline, with its paired 95% bootstrap interval."""
    wins: int
    """Questions where the contender states a larger share of the facts."""
    ties: int
    losses: int
    verdict: Verdict
    """By whether the interval excludes 0."""


class Standing(Frozen):
    """A line of the leaderboard."""

    measures: Measures
    comparison: Comparison | None
    """None for the baseline itself."""


class Leaderboard(Frozen):
    """The leaderboard."""

    baseline: str
    standings: tuple[Standing, ...]
    """By exact-fact accuracy, best first."""
    heldout_loss_base: float | None
    """Cross-entropy per answer token of the untuned model on held-out dialogues, in nats."""
    heldout_loss_tuned: float | None

    @property
    def best(self) -> Standing | None:
        """The best contender that is not the baseline; None when there is none."""
        return next((row for row in self.standings if row.comparison), None)


def rank(
    baseline: Sequence[Answer],
    candidates: Sequence[Sequence[Answer]],
    losses: Sequence[LossPoint] = (),
) -> Leaderboard:
    """Ranks contenders.

    Args:
        baseline: The baseline's answers.
        candidates: Each contender's answers to the same questions.
        losses: The loss curve; its last `heldout` point is the tuned model's.

    Returns:
        The leaderboard.

    Raises:
        BadInputError: A contender was asked other questions than the baseline, or a file is empty.
    """
    rows = [Standing(measures=measure(baseline), comparison=None)]
    rows += [
        Standing(measures=measure(answers), comparison=compare(answers, baseline))
        for answers in candidates
    ]
    rows.sort(key=lambda row: -(row.measures.accuracy.mean if row.measures.accuracy else 0))
    return Leaderboard(
        baseline=baseline[0].contender,
        standings=tuple(rows),
        heldout_loss_base=_last(losses, "heldout_base"),
        heldout_loss_tuned=_last(losses, "heldout"),
    )


def compare(candidate: Sequence[Answer], baseline: Sequence[Answer]) -> Comparison | None:
    """Compares two contenders question by question.

    Args:
        candidate: Answers of the contender.
        baseline: Answers of the baseline to the same questions, in any order.

    Returns:
        The comparison; None when no question requires a fact.

    Raises:
        BadInputError: The questions differ.
    """
    of_baseline = {answer.dialogue_id: answer for answer in baseline}
    if {answer.dialogue_id for answer in candidate} != set(of_baseline):
        raise BadInputError(
            f"{candidate[0].contender} and {baseline[0].contender} answered different questions "
            f"({len(candidate)} and {len(baseline)}); ask both the same test file and limit."
        )
    scored = [(a, of_baseline[a.dialogue_id]) for a in candidate if a.facts]
    if not scored:
        return None
    ours = [exact_fact_score(answer) or 0.0 for answer, _ in scored]
    theirs = [exact_fact_score(answer) or 0.0 for _, answer in scored]
    difference = paired_difference(ours, theirs)
    return Comparison(
        difference=difference,
        wins=sum(a > b for a, b in zip(ours, theirs, strict=True)),
        ties=sum(a == b for a, b in zip(ours, theirs, strict=True)),
        losses=sum(a < b for a, b in zip(ours, theirs, strict=True)),
        verdict=_verdict(difference),
    )


def _verdict(difference: Interval) -> Verdict:
    if difference.low > 0:
        return "better"
    return "worse" if difference.high < 0 else "no difference shown"


def _last(losses: Sequence[LossPoint], series: str) -> float | None:
    points = [point for point in losses if point.series == series]
    return max(points, key=lambda point: point.step).loss if points else None


def summary(board: Leaderboard) -> dict[str, float]:
    """Lists the leaderboard's figures under flat names for KFP's `dsl.Metrics`.

    Args:
        board: The leaderboard.

    Returns:
        `<contender>.<figure>` for each contender, and the held-out losses.
    """
    figures: dict[str, float] = {}
    for row in board.standings:
        name = row.measures.contender
        figures |= {f"{name}.{key}": value for key, value in flat(row.measures).items()}
        if row.comparison:
            gain = row.comparison.difference
            figures |= {
                f"{name}.difference": gain.mean,
                f"{name}.difference_low": gain.low,
                f"{name}.difference_high": gain.high,
            }
    losses = {"base": board.heldout_loss_base, "tuned": board.heldout_loss_tuned}
    return figures | {f"heldout_loss.{k}": v for k, v in losses.items() if v is not None}
