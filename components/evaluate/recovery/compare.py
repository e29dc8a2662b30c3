"""Compares a quantized model with what it was before, question by question."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from components.core.errors import BadInputError
from components.core.outcomes import exact_fact_score
from components.core.schemas import Answer
from components.core.stats import Interval, paired_ratio
from components.evaluate.benchmarks.regression import refuse_unlike
from components.evaluate.benchmarks.results import BenchmarkResults, TaskResult
from components.evaluate.comparison import Score, paired_scores
from components.evaluate.opinions import judged_by, overall_score
from components.evaluate.recovery.quantization import Quantization
from components.evaluate.recovery.recovered import Recovered, Recovery, Side, speeds
from components.evaluate.recovery.served_figures import ServedFigures

NEAR_ZERO = (
    "it was 0, or so near it that a sample of these questions may well hold none that it knew: "
    "there is nothing to recover a share of"
)


@dataclass(frozen=True)
class Measured:
    """Everything that was measured of one of the two models."""

    answers: Sequence[Answer]
    """At least one, judged or not."""
    figures: ServedFigures
    benchmarks: BenchmarkResults | None = None


def compare(before: Measured, after: Measured, quantization: Quantization) -> Recovery:
    """Computes what was recovered; asks nobody.

    Args:
        before: The model before quantization.
        after: The quantized model, asked the same.
        quantization: What was done to it.

    Returns:
        The recovery of every metric that was measured on both sides, and the speeds.

    Raises:
        BadInputError: The two were asked different questions, weighed different dialogues, wrote
            answers of different lengths, or were judged by different judges.
    """
    judge = _judge([*before.answers, *after.answers])
    _refuse_other_work(before.figures, after.figures)
    tasks, missing = _benchmarks(before.benchmarks, after.benchmarks)
    metrics = (
        _perplexity(before.figures, after.figures),
        _of_answers("accuracy", before.answers, after.answers, exact_fact_score),
        _of_answers("geval", before.answers, after.answers, overall_score),
    )
    unscored = {"accuracy": "no question requires a fact", "geval": "no judge scored both sides"}
    known = [metric for metric in metrics if metric]
    absent = unscored.keys() - {metric.metric for metric in known}
    return Recovery(
        before=_side(before),
        after=_side(after),
        metrics=(*known, *tasks),
        missing={name: unscored[name] for name in sorted(absent)} | missing,
        judge=judge,
        speeds=speeds(before.figures, after.figures),
        answer_tokens=after.figures.answer_tokens,
        quantization=quantization,
    )


def _side(measured: Measured) -> Side:
    return Side(
        contender=measured.answers[0].contender,
        weights=measured.figures.weights,
        machine=measured.figures.machine,
        dequantized=measured.figures.dequantized,
        loss=measured.figures.loss,
    )


def _judge(answers: Sequence[Answer]) -> str:
    return judged_by(answers)[0] if any(answer.judged for answer in answers) else ""


def _refuse_other_work(before: ServedFigures, after: ServedFigures) -> None:
    weighed = [{(d.dialogue_id, d.tokens) for d in each.dialogues} for each in (before, after)]
    if weighed[0] != weighed[1]:
        raise BadInputError(
            f"{before.model} and {after.model} weighed different dialogues or tokens "
            f"({len(weighed[0])} and {len(weighed[1])} dialogues); measure both with the same test "
            f"file, tokenizer and settings."
        )
    if before.answer_tokens != after.answer_tokens:
        raise BadInputError(
            f"The speeds of {before.model} and {after.model} are those of answers of "
            f"{before.answer_tokens} and of {after.answer_tokens} tokens; measure both with the "
            f"same settings."
        )


def _perplexity(before: ServedFigures, after: ServedFigures) -> Recovered:
    """Perplexity before / after: the exponential of the gain in nats per token."""
    theirs = {one.dialogue_id: one for one in before.dialogues}
    gains = [theirs[one.dialogue_id].nats - one.nats for one in after.dialogues]
    gain = paired_ratio(gains, [one.tokens for one in after.dialogues])
    return Recovered(
        metric="perplexity",
        n=len(gains),
        before=before.perplexity,
        after=after.perplexity,
        recovery=gain and Interval(*map(math.exp, (gain.mean, gain.low, gain.high))),
    )


def _of_answers(
    metric: str, before: Sequence[Answer], after: Sequence[Answer], score: Score
) -> Recovered | None:
    pairs = paired_scores(after, before, score)
    return _ratio(metric, pairs.theirs, pairs.ours) if pairs.ours else None


def _ratio(metric: str, before: Sequence[float], after: Sequence[float]) -> Recovered:
    recovery = paired_ratio(after, before)
    return Recovered(
        metric=metric,
        n=len(before),
        before=sum(before) / len(before),
        after=sum(after) / len(after),
        recovery=recovery,
        note="" if recovery else NEAR_ZERO,
    )


def _benchmarks(
    before: BenchmarkResults | None, after: BenchmarkResults | None
) -> tuple[list[Recovered], dict[str, str]]:
    """The benchmarks of both, and why others were not measured."""
    if before is None or after is None:
        return [], {"benchmarks": "none were run for both models"}
    theirs = {task.benchmark: task for task in before.tasks}
    found, missing = [], {}
    for task in after.tasks:
        name = f"benchmark.{task.benchmark}"
        skipped = _skipped(theirs.get(task.benchmark), task)
        if skipped:
            missing[name] = skipped
        else:
            found.append(_benchmark(name, theirs[task.benchmark], task))
    return found, missing


def _skipped(before: TaskResult | None, after: TaskResult) -> str:
    return (before.skipped if before else "it was not run for the model before") or after.skipped


def _benchmark(name: str, before: TaskResult, after: TaskResult) -> Recovered:
    refuse_unlike(before, after)
    order = sorted(after.scores)
    return _ratio(name, [before.scores[d] for d in order], [after.scores[d] for d in order])
