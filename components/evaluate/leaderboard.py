"""Ranks contenders against the baseline on the same questions, and says what that proves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from components.core.errors import BadInputError
from components.core.llm import Frozen
from components.core.prices import Prices
from components.core.schemas import Answer, LossPoint
from components.core.stats import Interval
from components.evaluate.benchmarks.regression import Regression
from components.evaluate.comparison import (
    Comparison,
    compare_facts,
    compare_geval,
    corrected,
    criterion_differences,
)
from components.evaluate.evidence import read_evidence
from components.evaluate.gates import RECOVERY, Figure, GateVerdict
from components.evaluate.judging.agreement import Correlation, JudgeAgreement
from components.evaluate.measures import Measures, flat, measure, spread
from components.evaluate.opinions import judged_by
from components.evaluate.recovery.recovered import Recovery


class Standing(Frozen):
    """A line of the leaderboard."""

    measures: Measures
    facts: Comparison | None
    """Exact facts against the baseline; None for the baseline itself, or where none is required."""
    geval: Comparison | None
    """The judge's overall score against the baseline's; None where nobody judged."""
    criteria: dict[str, Interval]
    """The judge's scores minus the baseline's, by criterion, in points."""


class Leaderboard(Frozen):
    """The leaderboard."""

    baseline: str
    candidate: str
    """The contender that is to be released."""
    standings: tuple[Standing, ...]
    """By exact-fact accuracy, then by the judge's overall score, best first."""
    heldout_loss_base: float | None
    """Cross-entropy per answer token of the untuned model on held-out dialogues, in nats."""
    heldout_loss_tuned: float | None
    agreement: JudgeAgreement | None = None
    """How well the judge's scores follow known grades; None where that was not measured."""
    benchmarks: tuple[Regression, ...] = ()
    """Abilities of the candidate against those of its base model, in points from 0 to 100."""
    recovery: Recovery | None = None
    """What the candidate kept in quantization; None where it was not quantized."""
    gates: tuple[GateVerdict, ...] = ()
    """The candidate's; empty where no gate was set."""

    def standing(self, contender: str) -> Standing:
        """Gives a contender's line.

        Args:
            contender: Its name.

        Raises:
            BadInputError: It is not on the board.
        """
        for row in self.standings:
            if row.measures.contender == contender:
                return row
        names = ", ".join(row.measures.contender for row in self.standings)
        raise BadInputError(f"There is no contender {contender!r} on this leaderboard: {names}.")

    def figures(self, contender: str) -> dict[str, Figure]:
        """Gives everything that was measured of a contender, by the names that gates use.

        Args:
            contender: Its name; `candidate.` stands before its own figures, whoever it is.

        Returns:
            Figures by name; what was not measured is absent.

        Raises:
            BadInputError: It is not on the board.
        """
        ours, theirs = self.standing(contender), self.standing(self.baseline)
        found: dict[str, Figure | None] = {
            **{f"candidate.{name}": value for name, value in _figures(ours.measures).items()},
            **{f"baseline.{name}": value for name, value in _figures(theirs.measures).items()},
            "difference.accuracy": ours.facts.difference if ours.facts else None,
            "difference.geval.overall": ours.geval.difference if ours.geval else None,
            **{f"difference.geval.{name}": value for name, value in ours.criteria.items()},
            **_agreement(self.agreement),
        }
        if contender == self.candidate:
            found |= _benchmarks(self.benchmarks) | _recovery(self.recovery)
        return {name: value for name, value in found.items() if value is not None}


def _agreement(agreement: JudgeAgreement | None) -> dict[str, Figure]:
    found = agreement.overall if agreement else None
    names = {"spearman": found.spearman, "kendall": found.kendall} if found else {}
    return {f"judge.{name}": _correlation(one) for name, one in names.items()}


def _correlation(found: Correlation) -> Figure:
    """A judge that gives one score to all agrees in nothing, which is 0 and not unknown."""
    if found.value is None or found.low is None or found.high is None:
        return 0.0
    return Interval(found.value, found.low, found.high)


def _benchmarks(benchmarks: Sequence[Regression]) -> dict[str, Figure]:
    """What was measured of both models, as shares like all other figures."""
    found: dict[str, Figure] = {}
    for one in benchmarks:
        if one.difference and one.base is not None and one.candidate is not None:
            ends = (one.difference.mean, one.difference.low, one.difference.high)
            found[f"benchmark.{one.benchmark}.difference"] = Interval(*(n / 100 for n in ends))
            found[f"benchmark.{one.benchmark}.candidate"] = one.candidate / 100
            found[f"benchmark.{one.benchmark}.base"] = one.base / 100
    return found


def _recovery(recovery: Recovery | None) -> dict[str, Figure]:
    found = recovery.figures() if recovery else {}
    return {f"{RECOVERY}{name}": value for name, value in found.items()}


def _figures(measures: Measures) -> dict[str, Figure | None]:
    geval = measures.geval
    return {
        "accuracy": measures.accuracy,
        "complete": measures.complete,
        "answered": measures.outcomes["answered"] / measures.questions,
        "within_limit": measures.within_limit,
        "latency_p50": measures.latency_p50,
        "latency_p95": measures.latency_p95,
        "first_token_p50": measures.first_token_p50,
        "first_token_p95": measures.first_token_p95,
        "cost_per_1000": measures.cost_per_1000,
        "geval.overall": geval.overall if geval else None,
        "geval.scored": geval.scored / geval.judged if geval else None,
        **{f"geval.{name}": value for name, value in (geval.criteria if geval else {}).items()},
    }


def rank(
    contenders: Sequence[Sequence[Answer]],
    candidate: str = "",
    losses: Sequence[LossPoint] = (),
    prices: Mapping[str, Prices] | None = None,
) -> Leaderboard:
    """Ranks contenders.

    Args:
        contenders: Answers of each to the same questions, the baseline's first.
        candidate: The one to be released; the second when empty.
        losses: The loss curve; its last `heldout` point is the tuned model's.
        prices: By contender; where there are none, costs are unknown.

    Returns:
        The leaderboard, without evidence and gates.

    Raises:
        BadInputError: A contender was asked other questions than the baseline or judged by another
            judge, a file is empty, two are of one contender, or the candidate is not among them.
    """
    names = _names(contenders)
    _one_judge(contenders)
    released = candidate or names[1]
    if released not in names[1:]:
        raise BadInputError(
            f"The candidate {released!r} is not among the contenders beside the baseline "
            f"{names[0]!r}: {', '.join(names[1:])}."
        )
    return Leaderboard(
        baseline=names[0],
        candidate=released,
        standings=tuple(sorted(_standings(contenders, prices or {}), key=_order)),
        heldout_loss_base=_last(losses, "heldout_base"),
        heldout_loss_tuned=_last(losses, "heldout"),
    )


def _names(contenders: Sequence[Sequence[Answer]]) -> list[str]:
    names = [answers[0].contender for answers in contenders]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadInputError(
            f"Two files hold the answers of {twice[0]!r}; each contender of a leaderboard needs a "
            f"name of its own."
        )
    return names


def _one_judge(contenders: Sequence[Sequence[Answer]]) -> None:
    judged = [answer for answers in contenders for answer in answers if answer.judged]
    if judged:
        judged_by(judged)


def _standings(
    contenders: Sequence[Sequence[Answer]], prices: Mapping[str, Prices]
) -> list[Standing]:
    baseline, others = contenders[0], {rows[0].contender: rows for rows in contenders[1:]}
    facts = corrected({name: compare_facts(rows, baseline) for name, rows in others.items()})
    geval = corrected({name: compare_geval(rows, baseline) for name, rows in others.items()})
    first = measure(baseline, prices.get(baseline[0].contender))
    return [
        Standing(measures=first, facts=None, geval=None, criteria={}),
        *(
            Standing(
                measures=measure(rows, prices.get(name)),
                facts=facts[name],
                geval=geval[name],
                criteria=criterion_differences(rows, baseline),
            )
            for name, rows in others.items()
        ),
    ]


def _order(row: Standing) -> tuple[float, float]:
    accuracy, geval = row.measures.accuracy, row.measures.geval
    overall = geval.overall if geval else None
    return (-accuracy.mean if accuracy else 0.0, -overall.mean if overall else 0.0)


def _last(losses: Sequence[LossPoint], series: str) -> float | None:
    points = [point for point in losses if point.series == series]
    return max(points, key=lambda point: point.step).loss if points else None


def read_board(path: Path) -> Leaderboard:
    """Reads the leaderboard that `write_report` wrote as JSON.

    Args:
        path: The file.

    Raises:
        SchemaError: It cannot be read, or holds something else.
    """
    return read_evidence(path, Leaderboard)


def summary(board: Leaderboard) -> dict[str, float]:
    """Lists the leaderboard's figures under flat names for KFP's `dsl.Metrics`.

    Args:
        board: The leaderboard.

    Returns:
        `<contender>.<figure>` for each contender, the held-out losses, the judge's agreement, the
        benchmarks, the recovery, and `gate.<name>`: 1 for a gate that the candidate passed, 0 for
        one that it did not.
    """
    found: dict[str, float | None] = {}
    for row in board.standings:
        found |= {f"{row.measures.contender}.{name}": n for name, n in _flat(row).items()}
    found["heldout_loss.base"] = board.heldout_loss_base
    found["heldout_loss.tuned"] = board.heldout_loss_tuned
    found |= _means(_agreement(board.agreement))
    found |= _means(_benchmarks(board.benchmarks) | _recovery(board.recovery))
    found |= {f"gate.{verdict.gate.name}": verdict.passed for verdict in board.gates}
    return {name: float(value) for name, value in found.items() if value is not None}


def _means(figures: Mapping[str, Figure]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name, figure in figures.items():
        found |= spread(name, figure) if isinstance(figure, Interval) else {name: figure}
    return found


def _flat(row: Standing) -> dict[str, float | None]:
    found: dict[str, float | None] = {**flat(row.measures)}
    for prefix, comparison in (("difference", row.facts), ("geval_difference", row.geval)):
        if comparison:
            found |= spread(prefix, comparison.difference)
            found[f"{prefix}_p_holm"] = comparison.p_holm
    return found
