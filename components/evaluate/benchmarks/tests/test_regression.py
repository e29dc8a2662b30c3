"""The guard, and the command that runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

from components.core.errors import BadInputError
from components.core.stats import bootstrap_interval
from components.evaluate.benchmarks.regression import guard
from components.evaluate.benchmarks.results import BenchmarkResults, TaskResult, read_results
from components.evaluate.benchmarks.settings import Ability


def task(
    right: int, n: int = 60, name: str = "general", ability: Ability = "general", **changes: str
) -> TaskResult:
    scores = {f"{name}/{i:04d}": float(i < right) for i in range(n)}
    return TaskResult(
        benchmark=name,
        ability=ability,
        metric="acc_norm",
        version="1.0",
        fingerprint=changes.get("fingerprint", "f"),
        n=n,
        value=bootstrap_interval(list(scores.values())),
        seconds=1.0,
        scores=scores,
    )


def skipped(name: str = "general") -> TaskResult:
    measured = task(0, name=name)
    return measured.model_copy(
        update={"n": 0, "value": None, "scores": {}, "skipped": "not reachable: the data set"}
    )


def results(*tasks: TaskResult) -> BenchmarkResults:
    return BenchmarkResults(model="bank", weights="/m", harness="0", tasks=tasks)


def test_a_fall_beyond_the_threshold_is_told() -> None:
    (found,) = guard(results(task(40)), results(task(31)), threshold=10)
    assert found.fell
    assert not found.proven
    assert found.difference is not None
    assert found.difference.mean == pytest.approx(-15)
    assert found.base == pytest.approx(100 * 40 / 60)
    assert "fell by more than the 10 points allowed" in found.note


def test_a_fall_within_the_threshold_is_not() -> None:
    (found,) = guard(results(task(40)), results(task(37)), threshold=10)
    assert not found.fell
    assert "cannot prove it" in found.note


def test_many_documents_prove_it() -> None:
    (found,) = guard(results(task(1333, n=2000)), results(task(1320, n=2000)), threshold=2)
    assert not found.fell
    assert found.proven
    assert "surely" in found.note


def test_finance_may_fall() -> None:
    base = results(task(40), task(48, 48, "bank_choice", "finance"))
    tuned = results(task(40), task(0, 48, "bank_choice", "finance"))
    general, finance = guard(base, tuned, threshold=10)
    assert not general.fell
    assert not finance.fell
    assert finance.difference is not None
    assert finance.difference.mean == -100


def test_pairs_are_by_document_and_not_by_place() -> None:
    """Equal means with other documents right still differ document by document."""
    base = task(30)
    turned = dict(reversed(list(base.scores.items())))
    (same,) = guard(results(base), results(base.model_copy(update={"scores": turned})), 10)
    assert same.difference is not None
    assert (same.difference.low, same.difference.high) == (0, 0)


def test_what_was_skipped_is_told() -> None:
    base = results(task(40), skipped("mmlu_finance"))
    other = results(task(40), task(7, name="mmlu_finance"))
    _, found = guard(base, other, threshold=10)
    assert (found.difference, found.fell) == (None, False)
    assert found.note == "skipped: not reachable: the data set"


@pytest.mark.parametrize(
    ("base", "candidate", "threshold", "told"),
    [
        ((task(40),), (task(40, fingerprint="g"),), 10, "not about the same documents"),
        ((task(40),), (task(40, n=50),), 10, "not about the same documents"),
        ((task(40),), (task(40), task(7, name="mmlu_finance")), 10, "has no result of 'mmlu"),
        ((skipped(),), (task(40),), 10, "nothing guards it"),
        ((task(40),), (task(40),), -1, "The threshold is -1"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    base: tuple[TaskResult, ...], candidate: tuple[TaskResult, ...], threshold: float, told: str
) -> None:
    with pytest.raises(BadInputError, match=told):
        guard(results(*base), results(*candidate), threshold)


def test_the_command_leaves_with_2_when_ability_fell(tmp_path: Path) -> None:
    for name, right in (("base", 40), ("tuned", 39), ("damaged", 20)):
        (tmp_path / f"{name}.json").write_text(results(task(right)).model_dump_json())
    kept, fell, unread = (
        compare(tmp_path, name) for name in ("tuned.json", "damaged.json", "nowhere.json")
    )
    assert kept.returncode == 0
    assert "general: 66.7 -> 65.0 points" in kept.stdout
    assert fell.returncode == 2
    assert "fell by more than the 10 points allowed" in fell.stdout
    assert unread.returncode == 2
    assert "cannot be read" in unread.stderr


def compare(folder: Path, candidate: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "components.evaluate.benchmarks", "compare"]
    return subprocess.run(
        [*command, str(folder / "base.json"), str(folder / candidate)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_file_of_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "board.json").write_text("{}")
    with pytest.raises(BadInputError, match="holds no benchmark results"):
        read_results(tmp_path / "board.json")
