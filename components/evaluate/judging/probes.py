"""What a judge goes by when it should not: the place of a text in the prompt, and its length.

Both biases are known of language models as judges: Wang et al., Large Language Models are not Fair
Evaluators (2023, arXiv:2305.17926) for position; Zheng et al., Judging LLM-as-a-Judge (NeurIPS
2023, arXiv:2306.05685) for position and verbosity.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from components.core.errors import BadInputError
from components.core.geval import Judgement
from components.core.llm import Endpoint, Frozen
from components.core.outcomes import exact_fact_score
from components.core.schemas import Answer
from components.core.stats import Interval, bootstrap_interval
from components.evaluate.judging.cached_judge import JudgeSettings, judge_cases
from components.evaluate.judging.correlation import spearman
from components.evaluate.judging.judge_answers import cases_with_text, read_scores
from components.evaluate.judging.rubric import CriterionId, Rubric, read_rubric

OVERALL = "overall"
FILLER = (
    "Спасибо, что обратились к нам. Мы понимаем, как важно получить понятный ответ, и всегда рады "
    "помочь. Если у вас останутся вопросы, напишите нам в любое удобное время, и мы обязательно "
    "постараемся разобраться вместе с вами. Хорошего вам дня!"
)
"""A polite paragraph without any fact, appended by the verbosity probe."""
SMALLEST_GROUP = 5
"""Fewest answers of equal exact-fact score over which score and length are correlated."""

Scores: TypeAlias = dict[str, float]
"""By criterion, and `overall`; what could not be read is absent."""


class Shift(Frozen):
    """What a change of the prompt that changes no fact does to the scores."""

    answers: int
    """That have a score both ways."""
    mean_difference: Interval
    """Changed minus plain, in points of 1 to 5, with its 95% bootstrap interval; ideally 0."""
    mean_absolute_difference: Interval
    """Of the same pairs: what cancels out in the mean shows here."""
    spearman: float | None
    """Rank correlation of the two scores; None when one side does not vary."""


class ProbeResults(Frozen):
    """Both probes of one judge."""

    judge: str
    rubric: str
    answers: int
    """That were sent."""
    position: dict[str, Shift]
    """By criterion and `overall`: the answer before what is known, minus the usual order."""
    verbosity: dict[str, Shift]
    """By criterion and `overall`: with a paragraph that says nothing, minus without."""
    length_answers: int
    """In groups of equal exact-fact score that are large enough."""
    length_spearman: float | None
    """Rank correlation of the overall score with the answer's length in characters, within groups
    of equal exact-fact score, mean by the groups' sizes; None without such a group."""


def probe(
    answers: Sequence[Answer], endpoint: Endpoint, settings: JudgeSettings, beside: Path
) -> ProbeResults:
    """Judges the same answers three times: plainly, with the order swapped, and padded.

    Args:
        answers: Of one contender; those without a text are left out.
        endpoint: The judge.
        settings: The rubric, how many answers, how to ask.
        beside: An output of the step, beside which replies are kept.

    Returns:
        How much the scores move.

    Raises:
        EndpointError: The judge is away; what it said is kept.
        MissingSecretError: The key's variable is empty.
        BadInputError: There is no answer with a text, or none that was scored both ways.
    """
    rows, cases = cases_with_text(answers, settings)
    if not rows:
        raise BadInputError("There is no answer with a text to probe the judge with.")
    rubric = read_rubric(settings.rubric)
    longer = [case.model_copy(update={"answer": f"{case.answer} {FILLER}"}) for case in cases]

    def judged(label: str, padded: bool = False, swapped: bool = False) -> list[Scores]:
        found = judge_cases(
            longer if padded else cases, endpoint, settings, beside, swapped, f"probe: {label}"
        )
        return [_scores(rubric, each) for each in found]

    plain = judged("plain")
    groups = _groups(rows, plain)
    return ProbeResults(
        judge=endpoint.model,
        rubric=rubric.name,
        answers=len(rows),
        position=_shifts(rubric, plain, judged("swapped", swapped=True)),
        verbosity=_shifts(rubric, plain, judged("padded", padded=True)),
        length_answers=sum(map(len, groups)),
        length_spearman=_within(groups),
    )


def _scores(rubric: Rubric, judgements: Mapping[CriterionId, Judgement]) -> Scores:
    scores = read_scores(judgements)
    overall = rubric.overall(scores)
    return scores if overall is None else scores | {OVERALL: overall}


def _shifts(rubric: Rubric, plain: Sequence[Scores], changed: Sequence[Scores]) -> dict[str, Shift]:
    names = [*(criterion.id for criterion in rubric.criteria), OVERALL]
    return {name: _shift(name, plain, changed) for name in names}


def _shift(name: str, plain: Sequence[Scores], changed: Sequence[Scores]) -> Shift:
    pairs = [
        (before[name], after[name])
        for before, after in zip(plain, changed, strict=True)
        if name in before and name in after
    ]
    if not pairs:
        raise BadInputError(
            f"The judge gave no score for {name} that could be compared, on {len(plain)} answers; "
            "look at its replies with `judge` first."
        )
    differences = [after - before for before, after in pairs]
    return Shift(
        answers=len(pairs),
        mean_difference=bootstrap_interval(differences),
        mean_absolute_difference=bootstrap_interval([abs(each) for each in differences]),
        spearman=spearman([pair[0] for pair in pairs], [pair[1] for pair in pairs]),
    )


def _groups(rows: Sequence[Answer], scores: Sequence[Scores]) -> list[list[tuple[float, float]]]:
    """Lengths with overall scores, in groups of equal exact-fact score."""
    groups: dict[float | None, list[tuple[float, float]]] = defaultdict(list)
    for row, score in zip(rows, scores, strict=True):
        if OVERALL in score:
            groups[exact_fact_score(row)].append((len(row.answer), score[OVERALL]))
    return [group for group in groups.values() if len(group) >= SMALLEST_GROUP]


def _within(groups: Sequence[Sequence[tuple[float, float]]]) -> float | None:
    found = [
        (rho, len(group))
        for group in groups
        if (rho := spearman([pair[0] for pair in group], [pair[1] for pair in group])) is not None
    ]
    weight = sum(size for _, size in found)
    return sum(rho * size for rho, size in found) / weight if weight else None
