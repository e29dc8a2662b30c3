"""Gates: pass, fail, and what was not measured; the files that come with Finist; the release."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from components.core.errors import GateError, RecipeError
from components.evaluate.benchmarks.regression import guard
from components.evaluate.gates import Gate, Gates, check_gates, enforce, load_gates
from components.evaluate.leaderboard import Leaderboard, rank
from components.evaluate.tests import invented

RECIPES = Path(__file__).parents[3] / "pipelines" / "build" / "recipes"


def gate(metric: str, kind: str, limit: float, name: str = "one") -> Gate:
    return Gate.model_validate(
        {"name": name, "metric": metric, "kind": kind, "limit": limit, "why": "a test"}
    )


@pytest.fixture(scope="module")
def board() -> Leaderboard:
    """Everything measured; the candidate lost nothing on the benchmark."""
    base, after = (invented.benchmarks(0.5, name) for name in ("base", "candidate"))
    evidence = {"agreement": invented.agreement(), "benchmarks": guard(base, after, 3)}
    ranked = rank(invented.contenders(), invented.CANDIDATE)
    return ranked.model_copy(update=evidence)


@pytest.mark.parametrize(
    ("metric", "kind", "limit", "passed"),
    [
        ("candidate.accuracy", "at_least", 0.8, True),
        ("candidate.accuracy", "at_least", 0.95, False),
        ("baseline.accuracy", "at_most", 0.5, True),
        ("candidate.latency_p95", "at_most", 120, True),
        ("candidate.latency_p95", "at_most", 1, False),
        ("candidate.within_limit", "at_least", 119 / 120, True),
        ("candidate.answered", "at_least", 1, False),
        ("candidate.geval.scored", "at_least", 1, True),
        ("candidate.geval.correctness", "at_least", 4.9, False),
        ("difference.geval.safety", "non_inferior", 0.5, True),
        ("judge.spearman", "at_least", 0.62, True),
        ("judge.kendall", "at_least", 0.63, False),
        ("benchmark.general.difference", "at_least", 0, True),
        ("benchmark.general.difference", "at_least", 0.01, False),
    ],
)
def test_figures_are_held_against_their_limits(
    board: Leaderboard, metric: str, kind: str, limit: float, passed: bool
) -> None:
    (verdict,) = check_gates(board, Gates(gates=(gate(metric, kind, limit),)))
    assert verdict.passed is passed, verdict.sentence
    assert verdict.figure is not None
    assert metric in verdict.sentence
    assert verdict.shown in verdict.sentence
    assert verdict.bound in verdict.sentence


def test_non_inferiority_is_decided_by_the_lower_end() -> None:
    rows = [
        [invented.answer(n, "gigachat", n % 2 == 0) for n in range(100)],
        [invented.answer(n, "tuned", n % 2 == 0 or n % 10 == 1) for n in range(100)],
    ]
    worse = [invented.answer(n, "worse", n % 2 == 0 and n % 10 != 0) for n in range(100)]
    board = rank([*rows, worse])
    gates = Gates(gates=(gate("difference.accuracy", "non_inferior", 0.12),))
    assert check_gates(board, gates)[0].passed
    (verdict,) = check_gates(board, gates, "worse")
    difference = board.standing("worse").facts
    assert difference is not None
    assert difference.difference.mean == pytest.approx(-0.1)
    assert verdict.figure == difference.difference.low
    assert not verdict.passed
    assert "-10.0 points" in verdict.sentence
    assert "above -12.0 points" in verdict.sentence


@pytest.mark.parametrize(
    "metric",
    ["judge.spearman", "difference.geval.overall", "benchmark.general.difference"],
)
def test_what_was_not_measured_never_passes(metric: str) -> None:
    board = rank(invented.contenders(with_judge=False), invented.CANDIDATE)
    (verdict,) = check_gates(board, Gates(gates=(gate(metric, "at_least", -1000),)))
    assert not verdict.passed
    assert verdict.figure is None
    assert f"{metric} was not measured" in verdict.sentence


def test_a_judge_of_one_opinion_is_measured_and_fails(board: Leaderboard) -> None:
    spoilt = board.model_copy(update={"agreement": invented.agreement(spearman=None)})
    (verdict,) = check_gates(spoilt, Gates(gates=(gate("judge.spearman", "at_least", 0.4),)))
    assert verdict.figure == 0
    assert not verdict.passed


def test_the_benchmarks_are_the_candidates_alone(board: Leaderboard) -> None:
    gates = Gates(gates=(gate("benchmark.general.difference", "at_least", -0.03),))
    assert check_gates(board, gates)[0].passed
    (verdict,) = check_gates(board, gates, "tuned")
    assert "was not measured" in verdict.sentence


def test_a_figure_just_past_its_limit_does_not_read_like_it(board: Leaderboard) -> None:
    limit = board.standing(invented.CANDIDATE).measures.within_limit + 0.0001
    (verdict,) = check_gates(
        board, Gates(gates=(gate("candidate.within_limit", "at_least", limit),))
    )
    assert not verdict.passed
    assert verdict.shown not in verdict.bound


def test_a_release_that_failed_is_stopped_with_metric_figure_and_limit(board: Leaderboard) -> None:
    gates = Gates(
        gates=(
            gate("candidate.accuracy", "at_least", 0.5, "fine"),
            gate("candidate.latency_p95", "at_most", 2, "too slow"),
            gate("judge.spearman", "at_least", 0.9, "weak judge"),
        )
    )
    verdicts = check_gates(board, gates)
    with pytest.raises(GateError) as caught:
        enforce(verdicts)
    said = str(caught.value)
    assert "orpo does not pass 2 of 3 gates, and nothing is published" in said
    assert "candidate.latency_p95 is 8.2 s, and must be at most 2.0 s" in said
    assert "judge.spearman is 0.62, and must be at least 0.90" in said
    assert "fine" not in said
    assert caught.value.exit_code == 2
    enforce(verdicts[:1])


@pytest.mark.parametrize("name", ["gates", "gates-laptop", "gates-laptop-full"])
def test_the_files_of_gates_pass_a_good_candidate(name: str, board: Leaderboard) -> None:
    enforce(check_gates(board, load_gates(RECIPES / f"{name}.yaml")))


def test_the_short_laptop_run_needs_neither_judge_nor_benchmarks() -> None:
    board = rank(invented.contenders(with_judge=False), invented.CANDIDATE)
    enforce(check_gates(board, load_gates(RECIPES / "gates-laptop.yaml")))
    with pytest.raises(GateError, match="was not measured"):
        enforce(check_gates(board, load_gates(RECIPES / "gates.yaml")))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"metric": "candidate.acuracy"}, "there is no figure 'candidate.acuracy'"),
        ({"metric": "tuned.accuracy"}, "there is no figure"),
        ({"metric": "candidate.accuracy", "kind": "non_inferior"}, "needs a figure that is a diff"),
        ({"kind": "non_inferior", "limit": -0.1}, "a margin that is not negative"),
        ({"limit": float("nan")}, "finite"),
        ({"limits": 1}, "Extra inputs"),
    ],
)
def test_a_gate_that_could_not_be_checked_is_refused(changes: dict[str, Any], says: str) -> None:
    good = {
        "name": "a",
        "metric": "difference.accuracy",
        "kind": "at_least",
        "limit": 0,
        "why": "b",
    }
    with pytest.raises(ValidationError, match=says):
        Gate.model_validate(good | changes)


def test_a_file_with_a_misspelt_figure_says_where(tmp_path: Path) -> None:
    path = tmp_path / "gates.yaml"
    path.write_text("gates:\n- {name: a, metric: speed, kind: at_most, limit: 1, why: b}\n")
    with pytest.raises(RecipeError, match=r"gates\.yaml: gates\.0\.metric.*no figure 'speed'"):
        load_gates(path)


def test_two_gates_of_one_name_are_refused() -> None:
    one = gate("candidate.accuracy", "at_least", 0.5)
    with pytest.raises(ValidationError, match="name of its own"):
        Gates(gates=(one, one))
