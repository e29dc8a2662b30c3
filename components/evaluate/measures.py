"""Figures of one contender: exact facts, G-Eval, times, tokens, money, and every failure."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from components.core.errors import BadInputError
from components.core.llm import ANSWER_LIMIT_SECONDS, Frozen
from components.core.outcomes import OUTCOMES, exact_fact_score, outcome
from components.core.prices import Prices, cost_per_thousand
from components.core.schemas import Answer
from components.core.stats import Interval, bootstrap_interval
from components.evaluate.opinions import Opinions, opinions


class Measures(Frozen):
    """What a contender's answers show; times in seconds, shares in [0, 1]."""

    contender: str
    questions: int
    with_facts: int
    """Questions that require at least one fact; accuracy is over these."""
    accuracy: Interval | None
    """Mean share of required facts stated, with its 95% bootstrap interval."""
    complete: float | None
    """Share of answers that state every required fact."""
    latency_p50: float | None
    latency_p95: float | None
    first_token_p50: float | None
    first_token_p95: float | None
    within_limit: float
    """Share of all questions with a full answer within two minutes."""
    retries: int
    """Further tries that the endpoint made necessary, over all questions."""
    prompt_tokens: int
    completion_tokens: int
    mean_completion_tokens: float
    cost_per_1000: float | None
    """Price of the tokens of 1,000 answers, in `currency`; None when the prices are not known."""
    currency: str
    """Empty when the prices are not known."""
    outcomes: dict[str, int]
    geval: Opinions | None
    """What the judge thought of the answers; None where no judge was asked."""

    @property
    def failed(self) -> int:
        """Questions without a proper answer: everything but answered ones."""
        return self.questions - self.outcomes["answered"]


def measure(answers: Sequence[Answer], prices: Prices | None = None) -> Measures:
    """Takes the figures of one contender.

    Args:
        answers: n >= 1 answers of one contender.
        prices: What its tokens cost; None when that is not known.

    Returns:
        The figures. Errors have no latency worth the name and are left out of the percentiles;
        timeouts stay in, with the deadline as a lower bound.

    Raises:
        BadInputError: There are no answers, or they are of several contenders, or were judged by
            several judges.
    """
    names = sorted({answer.contender for answer in answers})
    if len(names) != 1:
        raise BadInputError(
            f"A file of answers must hold the answers of one contender; found {names or 'none'}."
        )
    outcomes = Counter(outcome(answer) for answer in answers)
    scores = [score for answer in answers if (score := exact_fact_score(answer)) is not None]
    timed = [answer.latency_seconds for answer in answers if outcome(answer) != "error"]
    firsts = [a.first_token_seconds for a in answers if a.first_token_seconds is not None]
    tokens = sum(answer.completion_tokens for answer in answers)
    return Measures(
        contender=names[0],
        questions=len(answers),
        with_facts=len(scores),
        accuracy=bootstrap_interval(scores) if scores else None,
        complete=sum(score == 1 for score in scores) / len(scores) if scores else None,
        latency_p50=_quantile(timed, 0.5),
        latency_p95=_quantile(timed, 0.95),
        first_token_p50=_quantile(firsts, 0.5),
        first_token_p95=_quantile(firsts, 0.95),
        within_limit=sum(map(_in_time, answers)) / len(answers),
        retries=sum(answer.retries for answer in answers),
        prompt_tokens=sum(answer.prompt_tokens for answer in answers),
        completion_tokens=tokens,
        mean_completion_tokens=tokens / len(answers),
        cost_per_1000=cost_per_thousand(answers, prices),
        currency=prices.currency if prices else "",
        outcomes={name: outcomes[name] for name in OUTCOMES},
        geval=opinions(answers),
    )


def _in_time(answer: Answer) -> bool:
    delivered = outcome(answer) in ("answered", "cut off", "blocked")
    return delivered and answer.latency_seconds <= ANSWER_LIMIT_SECONDS


def _quantile(values: Sequence[float], share: float) -> float | None:
    return float(np.quantile(values, share)) if values else None


def flat(measures: Measures) -> dict[str, float]:
    """Lists the figures that there are under flat names, as KFP's `dsl.Metrics` wants them."""
    figures: dict[str, float | None] = {
        "questions": measures.questions,
        **spread("exact_fact_accuracy", measures.accuracy),
        "all_facts_right": measures.complete,
        "latency_p50_seconds": measures.latency_p50,
        "latency_p95_seconds": measures.latency_p95,
        "first_token_p50_seconds": measures.first_token_p50,
        "within_two_minutes": measures.within_limit,
        "retries": measures.retries,
        "prompt_tokens": measures.prompt_tokens,
        "completion_tokens": measures.completion_tokens,
        "cost_per_1000": measures.cost_per_1000,
        **(_judged(measures.geval) if measures.geval else {}),
    }
    counts = {f"outcome_{name.replace(' ', '_')}": n for name, n in measures.outcomes.items()}
    return {name: float(value) for name, value in figures.items() if value is not None} | counts


def _judged(geval: Opinions) -> dict[str, float | None]:
    counts = {"geval_judged": geval.judged, "geval_scored": geval.scored}
    means = {f"geval_{name}": value.mean for name, value in geval.criteria.items()}
    return spread("geval", geval.overall) | means | counts


def spread(name: str, interval: Interval | None) -> dict[str, float | None]:
    """Lists a mean and the ends of its interval under flat names; nothing where there is none."""
    if interval is None:
        return {}
    return {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}
