"""The commands as a person gives them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from components.core.json_lines import read_jsonl, write_jsonl
from components.core.schemas import Answer
from components.core.tests.canned_server import Canned, CannedServer, serving
from components.evaluate.judging.__main__ import app
from components.evaluate.judging.tests.judged_rows import by_criterion, row, sure


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("FINIST_HOME", raising=False)
    path = tmp_path / "answers.jsonl"
    write_jsonl(path, [row(1), row(2), row(3)])
    return path


def test_judge_says_the_score_its_interval_and_what_failed(answers: Path, tmp_path: Path) -> None:
    judged = tmp_path / "judged.jsonl"
    recipe = tmp_path / "judge.yaml"
    recipe.write_text("rubric: bank_answer_short.v1\nanswers: 1\n", "utf-8")
    with serving(CannedServer(by_criterion(tone=sure(3)))) as server:
        options = ["judge", "--answers", str(answers), "--judged", str(judged)]
        options += ["--endpoint", server.url, "--model", "canned", "--recipe", str(recipe)]
        ran = CliRunner().invoke(app, [*options, "--limit", "2"])
    assert ran.exit_code == 0, ran.output
    assert "2 answers judged, 0 of them not by every criterion" in ran.output
    assert "G-Eval 4.80 of 5" in ran.output
    assert "56 tokens in prompts, 8 in replies" in ran.output
    rubrics = [row.judged.rubric for row in read_jsonl(judged, Answer) if row.judged]
    assert rubrics == ["bank_answer_short.v1"] * 2


def test_probe_prints_and_writes_its_figures(answers: Path, tmp_path: Path) -> None:
    out = tmp_path / "probes.json"
    with serving(CannedServer(lambda _: sure(4))) as server:
        options = ["probe", "--answers", str(answers), "--endpoint", server.url]
        ran = CliRunner().invoke(app, [*options, "--model", "canned", "--out", str(out)])
    assert ran.exit_code == 0, ran.output
    assert "+0.00 (+0.00 to +0.00)" in ran.output
    assert "no spread, 3 answers" in ran.output
    assert json.loads(out.read_text("utf-8"))["position"]["overall"]["answers"] == 3


def test_write_steps_names_the_file(tmp_path: Path) -> None:
    out = tmp_path / "bank_answer.v2.yaml"
    reply = Canned("1. Читай.\n2. Сверь.\n3. Оцени.")
    with serving(CannedServer(lambda _: reply)) as server:
        options = ["write-steps", "--endpoint", server.url, "--model", "canned"]
        ran = CliRunner().invoke(app, [*options, "--out", str(out)])
    assert ran.exit_code == 0, ran.output
    assert "12 steps of 4 criteria by canned" in ran.output
    assert out.exists()
