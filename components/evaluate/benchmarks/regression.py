"""The regression guard: what training made of a model's abilities, document by document."""

from components.core.errors import BadInputError
from components.core.llm import Frozen
from components.core.stats import Interval, paired_difference
from components.evaluate.benchmarks.results import BenchmarkResults, TaskResult
from components.evaluate.benchmarks.settings import Ability


class Regression(Frozen):
    """How a candidate compares with its base model on one benchmark."""

    benchmark: str
    ability: Ability
    n: int
    base: float | None
    """Mean score in points, 0 to 100; None when skipped."""
    candidate: float | None
    difference: Interval | None
    """Candidate minus base in points, over the same documents, with its 95% interval."""
    fell: bool
    """Whether the general ability fell by more than the threshold, on average."""
    proven: bool
    """Whether the interval rules such a fall out; with few documents it seldom can."""
    note: str
    """One sentence for people."""


def guard(
    base: BenchmarkResults, candidate: BenchmarkResults, threshold: float
) -> tuple[Regression, ...]:
    """Compares a candidate with its base model, benchmark by benchmark.

    The mean difference decides: a benchmark of general ability `fell` when it is below
    `-threshold`. The interval's lower end is the stricter judge, and right where there are many
    documents: `proven` says whether it too is above `-threshold`. On the 80 questions of `general`
    it lies some nine points below the mean (measured, see README.md), so at small thresholds it
    would refuse models that lost nothing. The mean alone errs too: a threshold below the
    interval's half-width takes noise for a fall, so measure more before asking for one.
    Benchmarks of finance are compared too and never fall: raising them is what training is for,
    and whether it did is the leaderboard's to say.

    Args:
        base: The model before training.
        candidate: The model after it.
        threshold: Points (hundredths of the score) that the general ability may lose.

    Returns:
        One comparison a benchmark, in the candidate's order; one that was skipped for either says
        so.

    Raises:
        BadInputError: The threshold is negative, a benchmark is missing or differs between the two
            (other documents, another task version), or none of the general ability was measured.
    """
    if threshold < 0:
        raise BadInputError(
            f"The threshold is {threshold:g}; give points that may be lost, 0 or more."
        )
    before = {task.benchmark: task for task in base.tasks}
    found = tuple(
        _compared(before.get(task.benchmark), task, threshold) for task in candidate.tasks
    )
    if not any(each.ability == "general" and each.difference for each in found):
        raise BadInputError(
            "No benchmark of the general ability was measured for both models, so nothing guards "
            "it; run `general` for the base model and for the candidate."
        )
    return found


def refuse_unlike(base: TaskResult, candidate: TaskResult) -> None:
    """Refuses to compare two results of one benchmark that are not about the same thing.

    Args:
        base: Of one model.
        candidate: Of another.

    Raises:
        BadInputError: Other documents, settings, metric or versions.
    """
    same = base.fingerprint == candidate.fingerprint and base.metric == candidate.metric
    if not same or base.scores.keys() != candidate.scores.keys():
        raise BadInputError(
            f"The two results of {candidate.benchmark!r} are not about the same documents and "
            "settings; run both models with the same recipe, test file and version."
        )


def _compared(base: TaskResult | None, candidate: TaskResult, threshold: float) -> Regression:
    if base is None:
        raise BadInputError(
            f"The base model has no result of {candidate.benchmark!r}; run the same benchmarks "
            "for both models."
        )
    skipped = candidate.skipped or base.skipped
    if skipped or base.value is None or candidate.value is None:
        return _regression(candidate, None, fell=False, proven=False, note=f"skipped: {skipped}")
    refuse_unlike(base, candidate)
    order = sorted(candidate.scores)
    difference = paired_difference(
        [100 * candidate.scores[document] for document in order],
        [100 * base.scores[document] for document in order],
    )
    fell = candidate.ability == "general" and difference.mean < -threshold
    proven = difference.low > -threshold
    note = _note(base, candidate, difference, threshold)
    return _regression(candidate, difference, fell=fell, proven=proven, note=note)


def _regression(
    candidate: TaskResult, difference: Interval | None, *, fell: bool, proven: bool, note: str
) -> Regression:
    after = 100 * candidate.value.mean if candidate.value and difference else None
    return Regression(
        benchmark=candidate.benchmark,
        ability=candidate.ability,
        n=candidate.n if difference else 0,
        base=after - difference.mean if after is not None and difference else None,
        candidate=after,
        difference=difference,
        fell=fell,
        proven=proven,
        note=note,
    )


def _note(base: TaskResult, candidate: TaskResult, difference: Interval, threshold: float) -> str:
    values = [100 * task.value.mean for task in (base, candidate) if task.value]
    figures = (
        f"{candidate.benchmark}: {values[0]:.1f} -> {values[1]:.1f} points, {difference.mean:+.1f} "
        f"({difference.low:+.1f} to {difference.high:+.1f}, n = {candidate.n})"
    )
    if candidate.ability == "finance":
        return f"{figures}; finance, not guarded"
    if difference.mean < -threshold:
        return f"{figures}; fell by more than the {threshold:g} points allowed"
    sure = (
        "and surely so"
        if difference.low > -threshold
        else "though so few documents cannot prove it"
    )
    return f"{figures}; within the {threshold:g} points allowed, {sure}"
