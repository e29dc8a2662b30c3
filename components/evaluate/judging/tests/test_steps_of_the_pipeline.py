"""The pipeline's faces: answers are graded, a judge is measured on them, and judges a contender."""

import json
from pathlib import Path

import pytest
from kfp import dsl

from components.core.json_lines import read_jsonl, write_jsonl
from components.core.schemas import Answer
from components.core.tests.canned_server import Canned, CannedServer, serving
from components.evaluate.component import graded_answers, judge, judge_agreement, leaderboard
from components.evaluate.judging.graded_answers import read_graded
from components.evaluate.tests import invented
from components.prepare.generate import generate
from components.prepare.load import load_bank

RUBRIC = "local/bank_answer_local.v1"
GATE = {"name": "judge", "metric": "judge.spearman", "kind": "at_least", "limit": 0.5, "why": "x"}


@pytest.fixture
def graded(tmp_path: Path) -> dsl.Dataset:
    corpus = generate(load_bank(), train_rows=910, test_rows=730, seed=7)
    artifacts = [
        dsl.Dataset(uri=str(tmp_path / name))
        for name in ("train", "test", "graded_train", "graded_test")
    ]
    for artifact, rows in zip(artifacts, (corpus.train, corpus.test), strict=False):
        write_jsonl(Path(artifact.path), rows)
    intents = ["deposit_rate", "deposit_term", "card_fee"]
    grading = {"subset": {"intents": intents}, "rows_train": 120, "rows_test": 60}
    graded_answers.python_func(grading, *artifacts)
    assert len(read_graded(Path(artifacts[2].path))) == 120
    return artifacts[3]


def test_a_judge_is_measured_asked_and_shown(graded: dsl.Dataset, tmp_path: Path) -> None:
    grades = {row.prompt: row.grade for row in read_graded(Path(graded.path))}

    def reply(prompt: str) -> Canned:
        grade = str(grades.get(prompt, 4))
        return Canned(grade, top={grade: 1.0})

    rows = dict(zip(invented.RIGHT, invented.contenders(with_judge=False), strict=True))
    agreement, figures = (
        dsl.Artifact(uri=str(tmp_path / "a")),
        dsl.Metrics(uri=str(tmp_path / "m")),
    )
    judged = {}
    with serving(CannedServer(reply)) as server:
        settings = {"rubric": RUBRIC, "answers": 12}
        where = {"endpoint": server.url, "model": "canned", "api_key_env": ""}
        asked = {**where, "settings": settings}
        judge_agreement.python_func(**asked, graded=graded, agreement=agreement, metrics=figures)
        for name in ("gigachat", "orpo"):
            source = dsl.Dataset(uri=str(tmp_path / f"{name}.jsonl"))
            write_jsonl(Path(source.path), rows[name])
            judged[name] = dsl.Dataset(uri=str(tmp_path / f"{name}-judged.jsonl"))
            judge.python_func(**asked, answers=source, judged=judged[name], metrics=figures)
    assert figures.metadata["spearman"] == pytest.approx(1)
    scored = [row for row in read_jsonl(Path(judged["orpo"].path), Answer) if row.judged]
    assert len(scored) == 12
    write_jsonl(tmp_path / "losses", invented.LOSSES)
    board = dsl.Artifact(uri=str(tmp_path / "board.json"))
    leaderboard.python_func(
        gates={"gates": [GATE]},
        prices={},
        baseline=judged["gigachat"],
        candidate=judged["orpo"],
        losses=dsl.Dataset(uri=str(tmp_path / "losses")),
        report=dsl.HTML(uri=str(tmp_path / "report.html")),
        summary=dsl.Metrics(uri=str(tmp_path / "summary")),
        board=board,
        agreement=agreement,
        judge_described="a canned server",
    )
    assert json.loads(Path(board.path).read_text())["gates"][0]["passed"]
    assert "The judge is a canned server." in (tmp_path / "report.html").read_text("utf-8")
