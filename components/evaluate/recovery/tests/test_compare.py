"""Recovery's arithmetic, by hand; what cannot be compared; what gates see of it."""

import math

import pytest

from components.core.errors import BadInputError, GateError
from components.core.stats import Interval
from components.evaluate.benchmarks.results import BenchmarkResults
from components.evaluate.gates import Gate, Gates, check_gates, enforce
from components.evaluate.leaderboard import Leaderboard, rank, summary
from components.evaluate.recovery.compare import Measured, compare
from components.evaluate.recovery.recovered import Recovered, Recovery, flat
from components.evaluate.recovery.served_figures import DialogueLoss, ServedFigures
from components.evaluate.recovery.tests import invented_recovery
from components.evaluate.recovery.tests.invented_recovery import figures, quantization
from components.evaluate.tests import invented


def measured(
    contender: str,
    wrong: set[int],
    score: float | None = None,
    nats: tuple[float, ...] = (2.0, 4.0),
    benchmarks: BenchmarkResults | None = None,
) -> Measured:
    """Ten answers, of which those are wrong; two dialogues of 10 and 30 tokens."""
    rows = [invented.answer(n, contender, n not in wrong) for n in range(10)]
    if score:
        rows = [invented.judged(row, dict.fromkeys(invented.WEIGHTS, score)) for row in rows]
    losses = tuple(
        DialogueLoss(dialogue_id=f"d{n}", nats=each, tokens=10 + 20 * n)
        for n, each in enumerate(nats)
    )
    served = figures(contender, 1.0, 10).model_copy(update={"dialogues": losses})
    return Measured(rows, served, benchmarks)


def compared(before: Measured, after: Measured) -> tuple[Recovery, dict[str, Recovered]]:
    found = compare(before, after, quantization())
    return found, {one.metric: one for one in found.metrics}


def kept(one: Recovered) -> Interval:
    assert one.recovery
    return one.recovery


def test_every_metric_by_hand() -> None:
    """8 of 10 right before and 6 after; 6 nats on 40 tokens before and 8 after; 4.0 and 3.0."""
    before = measured("tuned", {0, 1}, 4.0, benchmarks=invented.benchmarks(0.5, "tuned"))
    after = measured(
        "quantized", {0, 1, 2, 3}, 3.0, (2.5, 5.5), invented.benchmarks(0.4, "quantized")
    )
    found, metrics = compared(before, after)
    assert kept(metrics["accuracy"]).mean == pytest.approx(6 / 8, abs=1e-9)
    assert kept(metrics["geval"]).mean == pytest.approx(3 / 4, abs=1e-9)
    assert kept(metrics["perplexity"]).mean == pytest.approx(math.exp(6 / 40 - 8 / 40), abs=1e-9)
    assert metrics["perplexity"].before == pytest.approx(math.exp(0.15), abs=1e-9)
    assert metrics["perplexity"].after == pytest.approx(math.exp(0.2), abs=1e-9)
    assert kept(metrics["benchmark.general"]).mean == pytest.approx(24 / 30, abs=1e-9)
    assert [one.n for one in found.metrics] == [2, 10, 10, 60]
    assert found.lowest == metrics["accuracy"]
    assert (found.before.loss, found.after.loss) == pytest.approx((0.15, 0.2), abs=1e-9)
    assert found.size == pytest.approx(268_670_000 / 112_970_000, abs=1e-9)
    assert [speed.throughput for speed in found.speeds] == pytest.approx([1, 1, 1])
    assert found.missing.keys() == {"benchmark.mmlu_finance"}
    assert found.judge == "invented-judge"


def test_every_dialogue_twice_as_surprising_leaves_no_doubt() -> None:
    """Each loses 0.1 nats a token, so every sample of them gives exp(-0.1)."""
    after = measured("quantized", set(), nats=(3.0, 7.0))
    _, metrics = compared(measured("tuned", set()), after)
    exact = math.exp(-0.1)
    perplexity = kept(metrics["perplexity"])
    assert (perplexity.low, perplexity.high) == pytest.approx((exact, exact), abs=1e-9)


def test_intervals_are_paired_and_the_same_again() -> None:
    """What both miss costs no certainty: the intervals follow the one question that changed."""
    before, after = measured("tuned", {0, 1, 2}), measured("quantized", {0, 1, 2, 3})
    _, metrics = compared(before, after)
    _, again = compared(before, after)
    accuracy = kept(metrics["accuracy"])
    assert accuracy == kept(again["accuracy"])
    assert accuracy.low < accuracy.mean < accuracy.high == 1
    assert accuracy.mean == pytest.approx(6 / 7, abs=1e-9)


def test_the_same_model_recovers_all_of_itself() -> None:
    before = measured("tuned", {0}, 4.0)
    found, metrics = compared(before, measured("quantized", {0}, 4.0))
    assert {kept(one) for one in metrics.values()} == {Interval(1, 1, 1)}
    assert found.figures()["lowest"] == Interval(1, 1, 1)


def test_the_lowest_takes_each_end_from_whichever_metric_is_lowest_there() -> None:
    found, metrics = compared(measured("tuned", {0}, 4.0), measured("quantized", {0, 1}, 3.5))
    accuracy, geval = kept(metrics["accuracy"]), kept(metrics["geval"])
    assert geval.mean < accuracy.mean
    assert accuracy.low < geval.low
    lowest = found.figures()["lowest"]
    assert (lowest.mean, lowest.low) == (geval.mean, accuracy.low)
    assert flat(found)["recovery.lowest"] == lowest.mean


def test_what_was_zero_before_has_no_recovery_and_passes_no_gate() -> None:
    found, metrics = compared(measured("tuned", set(range(10))), measured("quantized", set()))
    assert metrics["accuracy"].recovery is None
    assert "nothing to recover a share of" in metrics["accuracy"].note
    assert "accuracy" not in found.figures()
    assert "recovery.accuracy" not in flat(found)


def test_one_right_answer_before_is_too_few_for_an_interval() -> None:
    _, metrics = compared(measured("tuned", set(range(1, 10))), measured("quantized", set()))
    assert metrics["accuracy"].recovery is None


def test_what_was_not_measured_is_named() -> None:
    found, metrics = compared(measured("tuned", set()), measured("quantized", set()))
    assert metrics.keys() == {"perplexity", "accuracy"}
    assert found.missing == {
        "benchmarks": "none were run for both models",
        "geval": "no judge scored both sides",
    }
    assert found.judge == ""


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"answers": measured("quantized", set()).answers[1:]}, "different questions"),
        ({"figures": measured("quantized", set(), nats=(1.0,)).figures}, "different dialogues"),
        (
            {"figures": measured("q", set()).figures.model_copy(update={"answer_tokens": 32})},
            "of 64 and of 32 tokens",
        ),
    ],
)
def test_what_was_not_asked_the_same_is_refused(changes: dict[str, object], says: str) -> None:
    after = measured("quantized", set())
    other = Measured(**{**vars(after), **changes})
    with pytest.raises(BadInputError, match=says) as caught:
        compare(measured("tuned", set()), other, quantization())
    assert str(caught.value).count(". ") == 0


def test_other_judges_and_other_documents_are_refused() -> None:
    before = measured("tuned", set(), 4.0)
    rows = [
        invented.judged(row, dict.fromkeys(invented.WEIGHTS, 4.0), "another")
        for row in measured("quantized", set()).answers
    ]
    with pytest.raises(BadInputError, match="different judges"):
        compare(before, Measured(rows, measured("q", set()).figures), quantization())
    results = invented.benchmarks(0.5, "tuned")
    task = results.tasks[0].model_copy(update={"fingerprint": "of other documents"})
    with pytest.raises(BadInputError, match="same documents"):
        compare(
            measured("tuned", set(), benchmarks=results),
            measured("quantized", set(), benchmarks=results.model_copy(update={"tasks": (task,)})),
            quantization(),
        )


def gate(metric: str, kind: str, limit: float) -> Gates:
    one = {"name": metric, "metric": metric, "kind": kind, "limit": limit, "why": "a test"}
    return Gates(gates=(Gate.model_validate(one),))


def board_with(recovery: Recovery | None) -> Leaderboard:
    board = rank(invented.contenders(with_judge=False), invented.CANDIDATE)
    return board.model_copy(update={"recovery": recovery})


@pytest.mark.parametrize(
    ("metric", "kind", "limit", "passes"),
    [
        ("recovery.accuracy", "at_least", 0.88, True),
        ("recovery.accuracy", "at_least", 0.98, False),
        ("recovery.accuracy", "non_inferior", 0.5, True),
        ("recovery.accuracy", "non_inferior", 0.12, False),
        ("recovery.perplexity", "at_least", 0.98, True),
        ("recovery.lowest", "at_least", 0.98, False),
        ("recovery.geval", "at_least", 0.0, False),
        ("recovery.benchmark.general", "at_least", 0.0, False),
    ],
)
def test_gates_hold_the_figure_or_its_lower_end_against_the_limit(
    metric: str, kind: str, limit: float, passes: bool
) -> None:
    """8 of 9 right answers kept, 88.9%: the point passes 88%, its interval does not."""
    found, _ = compared(measured("tuned", {0}), measured("quantized", {0, 1}))
    (verdict,) = check_gates(board_with(found), gate(metric, kind, limit))
    assert verdict.passed is passes, verdict.sentence


def test_a_gate_of_recovery_without_its_evidence_is_not_passed() -> None:
    verdicts = check_gates(board_with(None), gate("recovery.lowest", "at_least", 0.98))
    with pytest.raises(GateError, match=r"recovery\.lowest was not measured"):
        enforce(verdicts)


def test_a_gates_sentence_names_the_share_that_must_be_kept() -> None:
    found, _ = compared(measured("tuned", {0}), measured("quantized", {0, 1}))
    board = board_with(found)
    (verdict,) = check_gates(board, gate("recovery.accuracy", "non_inferior", 0.02))
    assert "recovery.accuracy is 88.9%" in verdict.sentence
    assert "above 98.0%" in verdict.sentence
    assert summary(board)["recovery.accuracy"] == pytest.approx(8 / 9)


def test_the_evidence_can_be_read_again() -> None:
    found, _ = compared(measured("tuned", {0}, 4.0), measured("quantized", {0, 1}, 3.5))
    assert Recovery.model_validate_json(found.model_dump_json()) == found
    served = invented_recovery.figures("a", 0.2, 10)
    assert ServedFigures.model_validate_json(served.model_dump_json()) == served
