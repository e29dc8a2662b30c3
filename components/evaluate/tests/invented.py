"""Invented answers of four contenders to invented questions: no model wrote or judged them."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from components.core.json_lines import write_jsonl
from components.core.schemas import Answer, Fact, JudgedScores, LossPoint
from components.core.stats import Interval
from components.evaluate.benchmarks.results import BenchmarkResults, TaskResult
from components.evaluate.judging.agreement import Agreement, Correlation, JudgeAgreement, KindScore

BASELINE, CANDIDATE = "gigachat", "orpo"
RIGHT = {BASELINE: 0.35, "tuned": 0.86, CANDIDATE: 0.9, "distilled": 0.78}
"""How often each states the fact."""
WEIGHTS = {"correctness": 0.5, "completeness": 0.25, "tone": 0.1, "safety": 0.15}
INTENTS = ("deposit_rate", "deposit_minimum", "deposit_term", "card_fee", "card_limit", "transfer")
QUESTIONS = 120
LOSSES = [
    LossPoint(series="heldout_base", step=0, loss=2.6),
    *(LossPoint(series="train", step=step, loss=3 / (1 + step)) for step in range(0, 60, 5)),
    *(LossPoint(series="heldout", step=step, loss=3.3 / (1 + step)) for step in range(10, 60, 10)),
]
FAILED = {"answer": "", "completion_tokens": 0, "first_token_seconds": None}
FAILURES: Mapping[tuple[str, int], Mapping[str, object]] = {
    (BASELINE, 3): FAILED | {"finish_reason": "blacklist"},
    (BASELINE, 11): FAILED | {"finish_reason": "blacklist"},
    ("tuned", 7): FAILED | {"finish_reason": "error: it answered HTTP 500: <b>no</b> memory"},
    (CANDIDATE, 9): FAILED | {"finish_reason": "timeout: no answer", "latency_seconds": 240.0},
    ("distilled", 5): FAILED | {"finish_reason": "stop"},
    ("distilled", 6): {"finish_reason": "length"},
}


def answer(number: int, contender: str, right: bool, **changes: object) -> Answer:
    """An answer to the question of that number, with the right rate in it or a wrong one."""
    rate = number if right else number + 100
    row = Answer(
        dialogue_id=f"d{number}",
        contender=contender,
        intent=INTENTS[number % len(INTENTS)],
        product="sokol",
        question=f"Подскажите, пожалуйста, какая ставка по вкладу номер {number}?",
        reference=f"По вкладу номер «{number}» ставка {number}% годовых, выплата ежемесячно.",
        answer=f"Ставка по этому вкладу {rate}% <b>годовых</b>, проценты платят каждый месяц.",
        facts=(Fact(name="rate", value=f"{number}%"),),
        finish_reason="stop",
        prompt_tokens=90,
        completion_tokens=40,
        latency_seconds=0.5 + number / 50,
        first_token_seconds=0.1,
    )
    return row.model_copy(update=changes)


def judged(row: Answer, scores: Mapping[str, float], judge: str = "invented-judge") -> Answer:
    """The answer with scores by criterion; one without `tone` has no overall score."""
    whole = scores.keys() == WEIGHTS.keys()
    overall = sum(WEIGHTS[name] * score for name, score in scores.items()) if whole else None
    opinion = JudgedScores(
        judge=judge,
        rubric="bank_answer.v1",
        scores=dict(scores),
        overall=overall,
        failures={} if whole else {"tone": "unparseable: no number in 'Отличный ответ!'"},
    )
    return row.model_copy(update={"judged": opinion})


def contenders(with_judge: bool = True) -> list[list[Answer]]:
    """Answers of all four, the baseline's first."""
    return [_answers(name, with_judge) for name in RIGHT]


def _answers(contender: str, with_judge: bool) -> list[Answer]:
    rng = random.Random(contender)
    rows = []
    for number in range(QUESTIONS):
        right = rng.random() < RIGHT[contender]
        row = answer(number, contender, right, latency_seconds=rng.lognormvariate(0.6, 0.7))
        row = row.model_copy(update=FAILURES.get((contender, number), {}))
        rows.append(judged(row, _scores(row, right, rng)) if with_judge else row)
    return rows


def _scores(row: Answer, right: bool, rng: random.Random) -> dict[str, float]:
    if not row.answer:
        return dict.fromkeys(WEIGHTS, 1.0)
    middle = {"correctness": 4.5 if right else 1.8, "completeness": 4.0 if right else 2.5}
    scores = {
        name: min(5.0, max(1.0, middle.get(name, 4.4) + rng.gauss(0, 0.5))) for name in WEIGHTS
    }
    return {name: scores[name] for name in scores if name != "tone" or rng.random() > 0.02}


def agreement(spearman: float | None = 0.62) -> JudgeAgreement:
    """What was invented as the judge's agreement with known grades."""
    width = 0.05
    found = (
        Correlation(value=None)
        if spearman is None
        else Correlation(value=spearman, low=spearman - width, high=spearman + width)
    )
    one = Agreement(
        rows=400,
        unreadable=3,
        spearman=found,
        kendall=found,
        mean_absolute_error=0.71,
        confusion=(
            *((60, 15, 5, 0, 0), (14, 48, 12, 4, 2), (6, 14, 40, 15, 5)),
            *((0, 4, 12, 44, 20), (0, 0, 3, 17, 57)),
        ),
    )
    return JudgeAgreement(
        judge="invented-judge",
        weights="s3://invented",
        overall=one,
        criteria={"correctness": one, "completeness": one, "tone": one, "safety": one},
        kinds=(
            KindScore(
                criterion="correctness", kind="reference", rows=40, mean_grade=5, mean_score=4.6
            ),
            KindScore(
                criterion="correctness", kind="wrong-number", rows=40, mean_grade=1, mean_score=1.9
            ),
        ),
    )


def benchmarks(general: float, model: str) -> BenchmarkResults:
    """What was invented as a model's benchmarks: the share of right answers to 60 questions."""
    scores = {f"q{place}": float(place < round(60 * general)) for place in range(60)}
    done = TaskResult(
        benchmark="general",
        ability="general",
        metric="acc_norm",
        version="1",
        fingerprint="invented",
        n=60,
        value=Interval(general, general - 0.1, general + 0.1),
        seconds=1.0,
        scores=scores,
    )
    skipped = TaskResult(
        benchmark="mmlu_finance",
        ability="general",
        metric="acc",
        version="1",
        fingerprint="invented",
        n=0,
        value=None,
        seconds=0.0,
        scores={},
        skipped="its data set cannot be reached from here",
    )
    return BenchmarkResults(
        model=model, weights=f"s3://{model}", harness="0", tasks=(done, skipped)
    )


def write_all(folder: Path, rows: Sequence[Sequence[Answer]]) -> list[Path]:
    """Writes each contender's answers to a file of its own, in their order."""
    paths = [folder / f"{answers[0].contender}.jsonl" for answers in rows]
    for path, answers in zip(paths, rows, strict=True):
        write_jsonl(path, answers)
    return paths
