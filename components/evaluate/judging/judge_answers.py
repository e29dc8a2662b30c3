"""Judges a contender's answers: the same rows, each with its scores by the rubric's criteria."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from components.core.errors import BadInputError
from components.core.geval import Case, Judgement
from components.core.json_lines import read_jsonl, write_jsonl
from components.core.llm import Endpoint
from components.core.outcomes import outcome
from components.core.schemas import Answer, JudgedScores
from components.evaluate.judging.cached_judge import JudgeSettings, judge_cases, masked_case
from components.evaluate.judging.rubric import CriterionId, Rubric, read_rubric
from components.prepare.personal_data.masking import Masker

WORST = 1.0
"""What every criterion of an answer gets that the customer cannot read."""


def judge_file(
    answers: Path, judged: Path, endpoint: Endpoint, settings: JudgeSettings
) -> list[Answer]:
    """Judges the answers of a file and writes them, scored, to another.

    Args:
        answers: JSON lines of `Answer`.
        judged: The same rows with `judged` filled, written whole or not at all.
        endpoint: The judge.
        settings: The rubric, how many answers, how to ask.

    Returns:
        The rows written.

    Raises:
        SchemaError: A line of `answers` is no answer.
        EndpointError: The judge is away; run again, and it goes on where it stopped.
        MissingSecretError: The key's variable is empty.
        BadInputError: There is no answer, no such rubric, or another run judges here.
    """
    rows = read_jsonl(answers, Answer)
    if not rows:
        raise BadInputError(f"{answers} holds no answer to judge; run `answer` first.")
    found = judge_answers(rows, endpoint, settings, judged)
    write_jsonl(judged, found)
    return found


def judge_answers(
    answers: Sequence[Answer], endpoint: Endpoint, settings: JudgeSettings, beside: Path
) -> list[Answer]:
    """Judges answers.

    An empty, blocked, failed or late answer is not sent: the customer got nothing, so all its
    criteria are 1, as the form's lowest mark says. A reply of the judge that holds no number, and
    a request that failed after all retries, stands in `failures` of its row: no row is dropped.

    Args:
        answers: To be judged; scores of an earlier judge are replaced.
        endpoint: The judge.
        settings: The rubric, how many answers, how to ask.
        beside: An output of the step, beside which replies are kept.

    Returns:
        The rows in their order; `judged` is None for those that were not chosen.

    Raises:
        EndpointError: The judge is away; what it said is kept.
        MissingSecretError: The key's variable is empty.
        BadInputError: There is no such rubric, or another run judges here.
    """
    rubric = read_rubric(settings.rubric)
    chosen = chosen_dialogues(answers, settings)
    masker = Masker(settings.masking)
    cases = [
        masked_case(row, masker)
        for row in answers
        if row.dialogue_id in chosen and can_be_judged(row)
    ]
    label = f"judging {answers[0].contender}" if answers else ""
    found = iter(judge_cases(cases, endpoint, settings, beside, progress=label))

    def judged(row: Answer) -> JudgedScores | None:
        if row.dialogue_id not in chosen:
            return None
        if not can_be_judged(row):
            return _worst(rubric, endpoint)
        return _scores(rubric, endpoint, next(found))

    return [row.model_copy(update={"judged": judged(row)}) for row in answers]


def can_be_judged(answer: Answer) -> bool:
    """Whether there is a text that the customer got."""
    return outcome(answer) in ("answered", "cut off")


def chosen_dialogues(answers: Sequence[Answer], settings: JudgeSettings) -> set[str]:
    """Chooses which dialogues to judge: by a hash of their id, so the same for every contender.

    Args:
        answers: One contender's.
        settings: How many at most, and the seed.

    Returns:
        Ids of dialogues.
    """
    ids = sorted({row.dialogue_id for row in answers}, key=lambda each: _hash(settings.seed, each))
    return set(ids[: settings.answers or None])


def cases_with_text(
    answers: Sequence[Answer], settings: JudgeSettings
) -> tuple[list[Answer], list[Case]]:
    """Chooses among the answers that have a text, and gives what the judge may see of them.

    Args:
        answers: One contender's.
        settings: How many at most, the seed, and what is personal data.

    Returns:
        The rows in their order, and their cases.
    """
    usable = [row for row in answers if can_be_judged(row)]
    chosen, masker = chosen_dialogues(usable, settings), Masker(settings.masking)
    rows = [row for row in usable if row.dialogue_id in chosen]
    return rows, [masked_case(row, masker) for row in rows]


def read_scores(judgements: Mapping[CriterionId, Judgement]) -> dict[str, float]:
    """Gives the scores that there are, by criterion."""
    return {name: each.score for name, each in judgements.items() if each.score is not None}


def _hash(seed: int, dialogue_id: str) -> str:
    return hashlib.sha256(f"{seed}:{dialogue_id}".encode()).hexdigest()


def _scores(
    rubric: Rubric, endpoint: Endpoint, judgements: Mapping[CriterionId, Judgement]
) -> JudgedScores:
    scores = read_scores(judgements)
    return JudgedScores(
        judge=endpoint.model,
        rubric=rubric.name,
        scores=scores,
        overall=rubric.overall(scores),
        failures={
            name: f"{each.failure}: {each.error}"
            for name, each in judgements.items()
            if each.failure
        },
        prompt_tokens=sum(each.prompt_tokens for each in judgements.values()),
        completion_tokens=sum(each.completion_tokens for each in judgements.values()),
    )


def _worst(rubric: Rubric, endpoint: Endpoint) -> JudgedScores:
    scores: dict[str, float] = {criterion.id: WORST for criterion in rubric.criteria}
    return JudgedScores(judge=endpoint.model, rubric=rubric.name, scores=scores, overall=WORST)
