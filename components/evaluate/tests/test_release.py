"""The steps of the pipeline that decide: the leaderboard's face, and the gate's after it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from kfp import dsl

from components.core.errors import GateError
from components.core.json_lines import write_jsonl
from components.evaluate.component import gate, leaderboard
from components.evaluate.tests import invented


def ranked(folder: Path, floor: float) -> tuple[dsl.Artifact, dsl.Metrics]:
    """Runs the leaderboard's face over four contenders with one gate."""
    rows = {paths.stem: paths for paths in invented.write_all(folder, invented.contenders())}
    write_jsonl(folder / "losses", invented.LOSSES)
    board = dsl.Artifact(uri=str(folder / "board.json"))
    figures = dsl.Metrics(uri=str(folder / "figures"))
    facts = {"name": "facts", "metric": "candidate.accuracy", "kind": "at_least"}
    leaderboard.python_func(
        gates={"gates": [{**facts, "limit": floor, "why": "a test"}]},
        prices={"gigachat": {"prompt": 400, "completion": 400}},
        baseline=dsl.Dataset(uri=str(rows["gigachat"])),
        candidate=dsl.Dataset(uri=str(rows["orpo"])),
        losses=dsl.Dataset(uri=str(folder / "losses")),
        report=dsl.HTML(uri=str(folder / "report.html")),
        summary=figures,
        board=board,
        contender_1=dsl.Dataset(uri=str(rows["tuned"])),
        contender_2=dsl.Dataset(uri=str(rows["distilled"])),
        watch_link="watch.html",
    )
    return board, figures


def test_a_candidate_that_passes_goes_on(tmp_path: Path) -> None:
    board, figures = ranked(tmp_path, floor=0.5)
    verdicts = dsl.Metrics(uri=str(tmp_path / "verdicts"))
    gate.python_func(board=board, verdicts=verdicts)
    assert verdicts.metadata == {"facts": 1.0}
    assert figures.metadata["gate.facts"] == 1
    assert figures.metadata["distilled.exact_fact_accuracy"] > 0.5
    assert figures.metadata["gigachat.cost_per_1000"] == pytest.approx(51.73, abs=0.01)
    assert 'href="watch.html"' in (tmp_path / "report.html").read_text("utf-8")


def test_one_that_does_not_is_stopped_after_its_page_was_written(tmp_path: Path) -> None:
    board, _ = ranked(tmp_path, floor=0.99)
    verdicts = dsl.Metrics(uri=str(tmp_path / "verdicts"))
    with pytest.raises(GateError, match=r"orpo .* candidate\.accuracy is 88\.3%.* 99\.0%"):
        gate.python_func(board=board, verdicts=verdicts)
    assert not Path(verdicts.path).exists()
    assert "so nothing is published" in (tmp_path / "report.html").read_text("utf-8")
    assert json.loads((tmp_path / "board.json").read_text("utf-8"))["candidate"] == "orpo"


@pytest.mark.parametrize(("floor", "code"), [(0.5, 0), (0.99, 2)])
def test_the_shell_ranks_and_gates(tmp_path: Path, floor: float, code: int) -> None:
    rows = {paths.stem: paths for paths in invented.write_all(tmp_path, invented.contenders())}
    gates = tmp_path / "gates.yaml"
    gates.write_text(
        "gates: [{name: facts, metric: candidate.accuracy, kind: at_least, why: a test, "
        f"limit: {floor}}}]"
    )
    command = (sys.executable, "-m", "components.evaluate")
    board, page = tmp_path / "board.json", tmp_path / "report.html"
    files = ("--baseline", rows["gigachat"], "--candidate", rows["orpo"], "--gates", gates)
    options = (*files, "--contender", rows["tuned"], "--report", page, "--board", board)
    shown = subprocess.run(
        [*command, "leaderboard", *map(str, options)], capture_output=True, text=True, check=True
    )
    assert ("FAILED: facts" in shown.stdout) == bool(code)
    assert page.stat().st_size > 10_000
    gated = subprocess.run(
        [*command, "gate", str(board)], capture_output=True, text=True, check=False
    )
    assert gated.returncode == code
    said = gated.stderr if code else gated.stdout
    assert "candidate.accuracy is 88.3%" in said
    assert said.count("\n") == 1
