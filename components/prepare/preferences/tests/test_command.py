"""The command: files in, files out, counts on the screen."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from components.core.errors import BadInputError
from components.core.json_lines import read_jsonl, write_jsonl
from components.core.schemas import Dialogue, PreferencePair, QuarantinedRow
from components.prepare.generate import Corpus
from components.prepare.preferences.__main__ import app


@pytest.fixture
def files(corpus: Corpus, tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "train.jsonl", corpus.train)
    write_jsonl(tmp_path / "test.jsonl", corpus.test)
    return tmp_path


def call(folder: Path, *options: str) -> str:
    """Runs the command; an option of the form `name.jsonl` is a file of the folder."""
    placed = [str(folder / option) if option.endswith(".jsonl") else option for option in options]
    result = CliRunner().invoke(app, placed)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_pairs_of_both_splits_and_their_counts(files: Path) -> None:
    options = ("--train", "train.jsonl", "--test", "test.jsonl", "--rows", "80")
    told = call(files, *options, "--out", "pairs.jsonl", "--test-out", "held.jsonl")
    train = read_jsonl(files / "pairs.jsonl", PreferencePair)
    held = read_jsonl(files / "held.jsonl", PreferencePair)
    assert ({p.split for p in train}, len(train)) == ({"train"}, 80)
    assert ({p.split for p in held}, len(held)) == ({"test"}, 80)
    wrong_numbers = sum(pair.reason == "wrong-number" for pair in train)
    assert f"wrong-number{wrong_numbers:>14} train" in told
    assert "80 pairs over 80 intents and products" in told
    assert read_jsonl(files / "pairs_quarantine.jsonl", QuarantinedRow) == []


def test_feedback_on_a_test_question_stays_out(files: Path, corpus: Corpus) -> None:
    def marks(dialogue: Dialogue) -> list[dict[str, object]]:
        row = {
            "dialogue_id": dialogue.dialogue_id,
            "prompt": [{"role": "user", "content": dialogue.question}],
            "intent": dialogue.intent,
            "product": dialogue.product,
            "licence": "own",
            "consent": True,
        }
        good, bad = {"answer": dialogue.answer, "csat": 5}, {"answer": "Не знаю.", "csat": 1}
        return [row | good, row | bad]

    rows = [*marks(corpus.train[0]), *marks(corpus.test[0]), {"csat": 9}]
    text = "\n".join(json.dumps(row) for row in rows)
    (files / "marks.jsonl").write_text(text, encoding="utf-8")
    options = ("--csat", "marks.jsonl", "--test", "test.jsonl", "--rows", "5")
    told = call(files, *options, "--out", "pairs.jsonl")
    (pair,) = read_jsonl(files / "pairs.jsonl", PreferencePair)
    assert (pair.dialogue_id, pair.source) == (corpus.train[0].dialogue_id, "csat")
    assert "2 rows left out (bad-row 1, test-question 1)" in told


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "nothing to make pairs of"),
        (("--train", "bare.jsonl"), "No pair came of the sources"),
        (("--train", "train.jsonl", "--reason", "typo"), "option for reasons 0: Input should be"),
        (("--train", "train.jsonl", "--per-dialogue", "9"), "option for pairs_per_dialogue"),
    ],
)
def test_what_cannot_work_is_told_and_writes_nothing(
    files: Path, corpus: Corpus, options: tuple[str, ...], message: str
) -> None:
    bare = (row.model_copy(update={"facts": ()}) for row in corpus.train)
    write_jsonl(files / "bare.jsonl", bare)
    with pytest.raises(BadInputError, match=message):
        call(files, *options, "--out", "pairs.jsonl")
    assert not (files / "pairs.jsonl").exists()
