"""How far a judge agrees with held-out grades: measured in each run, told wherever it is used."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydantic import Field
from scipy import stats

from components.core.errors import BadInputError
from components.core.geval import SCORES, Judgement, ask_prompts
from components.core.llm import Endpoint, Frozen, served_model
from components.core.whole_files import write_text
from components.evaluate.judging.cached_judge import JudgeSettings
from components.evaluate.judging.correlation import rank_correlation
from components.evaluate.judging.graded_answers import GradedRow, read_graded
from components.evaluate.judging.rubric import CriterionId

_RESAMPLES = 500
_CONFIDENCE = 0.95

Pair = tuple[float, float]
"""A judge's score and the grade."""

LOCAL = "the base model, fine-tuned here on graded answers, and not GPT"
"""What the local judge is, in a report's words."""


class Correlation(Frozen):
    """A rank correlation with its 95% bootstrap percentile interval over rows."""

    value: float | None
    """In [-1, 1]; None when the judge gives one score to all, which is no agreement."""
    low: float | None = None
    high: float | None = None


class Agreement(Frozen):
    """A judge's scores beside the grades of some rows."""

    rows: int
    unreadable: int
    """Rows whose reply held no score, or did not come; they are in no other figure here."""
    spearman: Correlation
    kendall: Correlation
    """Kendall's tau-b, which counts ties."""
    mean_absolute_error: float | None
    """Points of 1 to 5, of the expectation; None without a readable row."""
    confusion: tuple[tuple[int, ...], ...]
    """Five rows, by grade 1 to 5, of five counts, by rounded score 1 to 5."""


class KindScore(Frozen):
    """What a judge makes of one kind of answer."""

    criterion: CriterionId
    kind: str
    rows: int
    mean_grade: float
    """What such answers should get."""
    mean_score: float | None
    """What they get; None without a readable row."""


class JudgeAgreement(Frozen):
    """The agreement of one judge with one file of graded answers."""

    judge: str
    """The model's name at the endpoint."""
    weights: str
    """What the endpoint says stands behind the name."""
    overall: Agreement
    """All criteria together."""
    criteria: dict[CriterionId, Agreement] = Field(min_length=1)
    kinds: tuple[KindScore, ...]
    """By criterion and kind, in alphabetical order."""


def measure_agreement(
    graded_test: Path, endpoint: Endpoint, settings: JudgeSettings
) -> JudgeAgreement:
    """Asks a judge for the grades of held-out rows and compares.

    Args:
        graded_test: What `grade_file` wrote for the test; its prompts are asked as they stand.
        endpoint: The judge.
        settings: How to ask; the rubric is the file's own.

    Returns:
        Rank correlations, errors and confusions, by criterion and by kind of answer.

    Raises:
        SchemaError: A line is not a graded answer.
        BadInputError: There is no row.
        EndpointError: The judge is away or refuses the key or the model.
        MissingSecretError: The key's variable is empty.
    """
    rows = read_graded(graded_test)
    if not rows:
        raise BadInputError(f"{graded_test} holds no graded answer; make some with `grade_file`.")
    weights, judgements = asyncio.run(_asked(rows, endpoint, settings))
    return compare(endpoint.model, weights, rows, [each.score for each in judgements])


def compare(
    judge: str, weights: str, rows: Sequence[GradedRow], scores: Sequence[float | None]
) -> JudgeAgreement:
    """Compares scores with grades.

    Args:
        judge: The judge's name.
        weights: Which weights answered.
        rows: At least one, with the grades.
        scores: One a row, in [1, 5]; None where none could be read.

    Returns:
        The figures.
    """
    by_criterion: dict[CriterionId, list[int]] = defaultdict(list)
    by_kind: dict[tuple[CriterionId, str], list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        by_criterion[row.criterion].append(place)
        by_kind[row.criterion, row.kind].append(place)

    def agreement(places: Sequence[int]) -> Agreement:
        return _agreement([(scores[place], rows[place].grade) for place in places])

    return JudgeAgreement(
        judge=judge,
        weights=weights,
        overall=agreement(range(len(rows))),
        criteria={name: agreement(places) for name, places in sorted(by_criterion.items())},
        kinds=tuple(
            _kind_score(*key, [(scores[place], rows[place].grade) for place in places])
            for key, places in sorted(by_kind.items())
        ),
    )


def flat(agreement: JudgeAgreement) -> dict[str, float]:
    """Lists the figures that there are under flat names, as KFP's `dsl.Metrics` wants them."""
    found = agreement.overall
    figures: dict[str, float | None] = {
        "rows": found.rows,
        "unreadable": found.unreadable,
        "spearman": found.spearman.value,
        "kendall": found.kendall.value,
        "mean_absolute_error": found.mean_absolute_error,
        **{f"spearman_{name}": each.spearman.value for name, each in agreement.criteria.items()},
    }
    return {name: value for name, value in figures.items() if value is not None}


def write_agreement(agreement: JudgeAgreement, path: Path) -> None:
    """Writes the figures as JSON; the file appears whole or not at all."""
    write_text(path, agreement.model_dump_json(indent=2) + "\n")


def caution(agreement: JudgeAgreement, described: str = LOCAL) -> str:
    """Says in plain words how far a judge can be trusted.

    Args:
        agreement: Its figures.
        described: What the judge is.

    Returns:
        One paragraph, for whatever prints the judge's scores.
    """
    found = agreement.overall
    head = f"The judge is {described}."
    unread = f" {found.unreadable} of its replies held no score." if found.unreadable else ""
    if found.mean_absolute_error is None:
        return f"{head} None of its {found.rows} replies held a score: do not use it."
    if found.spearman.value is None:
        return f"{head} It gives every answer the same score: no agreement at all.{unread}"
    criteria = ", ".join(f"{k} {_told(each.spearman)}" for k, each in agreement.criteria.items())
    return (
        f"{head} On {found.rows} held-out answers with known grades, in wordings that it never "
        f"learned, its scores rank like the grades with a Spearman correlation of "
        f"{_told(found.spearman)}; by criterion: {criteria}. Its mean error is "
        f"{found.mean_absolute_error:.2f} of 5 points.{unread}{_seen(agreement)} The grades are "
        "those of made-up mistakes, set by a table and not by people."
    )


def _told(correlation: Correlation) -> str:
    if correlation.value is None:
        return "none (one score for all)"
    return f"{correlation.value:.2f} (95% interval {correlation.low:.2f} to {correlation.high:.2f})"


def _seen(agreement: JudgeAgreement) -> str:
    """Whether it tells a wrong number from the right answer: what a bank asks first."""
    means = {k.kind: k.mean_score for k in agreement.kinds if k.criterion == "correctness"}
    right, wrong = means.get("reference"), means.get("wrong-number")
    if right is None or wrong is None:
        return ""
    return (
        f" For correctness it gives the reference answer {right:.1f} on average and the same "
        f"answer with a wrong number {wrong:.1f}."
    )


async def _asked(
    rows: Sequence[GradedRow], endpoint: Endpoint, settings: JudgeSettings
) -> tuple[str, list[Judgement]]:
    weights, prompts = await served_model(endpoint), [row.prompt for row in rows]
    label = "asking the judge for known grades"
    return weights, await ask_prompts(endpoint, prompts, settings.judging, progress=label)


def _agreement(pairs: Sequence[tuple[float | None, int]]) -> Agreement:
    read = [(score, grade) for score, grade in pairs if score is not None]
    errors = [abs(score - grade) for score, grade in read]
    confusion = [[0] * len(SCORES) for _ in SCORES]
    for score, grade in read:
        confusion[grade - 1][int(score + 0.5) - 1] += 1
    return Agreement(
        rows=len(pairs),
        unreadable=len(pairs) - len(read),
        spearman=_correlation(read, stats.spearmanr),
        kendall=_correlation(read, stats.kendalltau),
        mean_absolute_error=float(np.mean(errors)) if errors else None,
        confusion=tuple(map(tuple, confusion)),
    )


def _correlation(pairs: Sequence[Pair], statistic: Callable[..., object]) -> Correlation:
    """Correlates and resamples; a resample in which one side does not vary agrees in nothing."""
    scores, grades = [score for score, _ in pairs], [grade for _, grade in pairs]
    value = rank_correlation(statistic, scores, grades)
    if value is None:
        return Correlation(value=None)
    found = stats.bootstrap(
        (scores, grades),
        lambda *sides: rank_correlation(statistic, *sides) or 0.0,
        paired=True,
        vectorized=False,
        n_resamples=_RESAMPLES,
        confidence_level=_CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    low, high = map(float, found.confidence_interval)
    return Correlation(value=value, low=low, high=high)


def _kind_score(
    criterion: CriterionId, kind: str, pairs: Sequence[tuple[float | None, int]]
) -> KindScore:
    read = [score for score, _ in pairs if score is not None]
    return KindScore(
        criterion=criterion,
        kind=kind,
        rows=len(pairs),
        mean_grade=float(np.mean([grade for _, grade in pairs])),
        mean_score=float(np.mean(read)) if read else None,
    )
