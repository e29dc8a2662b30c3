from pathlib import Path

import pytest

from components.core.errors import BadInputError, RecipeError
from components.core.json_lines import read_jsonl, write_jsonl
from components.core.schemas import PreferencePair
from components.prepare.generate import Corpus
from components.prepare.preferences.preference_step import run_preferences


@pytest.fixture
def files(corpus: Corpus, tmp_path: Path) -> dict[str, str]:
    write_jsonl(tmp_path / "train.jsonl", corpus.train)
    write_jsonl(tmp_path / "test.jsonl", corpus.test)
    names = {"out": "pairs.jsonl", "test_out": "test_pairs.jsonl", "quarantine": "left_out.jsonl"}
    return {name: str(tmp_path / file) for name, file in names.items()}


def test_the_step_writes_pairs_and_gives_figures(files: dict[str, str], tmp_path: Path) -> None:
    recipe = {"reasons": ["other-product", "wrong-number"], "subset": {"rows": 40, "seed": 1}}
    dialogues = str(tmp_path / "train.jsonl"), str(tmp_path / "test.jsonl")
    figures = run_preferences(recipe, *dialogues, files)
    pairs = read_jsonl(Path(files["out"]), PreferencePair)
    assert {pair.split for pair in pairs} == {"train"}
    assert figures["train_pairs"] == len(pairs) > 30
    assert figures["test_pairs"] == len(read_jsonl(Path(files["test_out"]), PreferencePair))
    by_reason = [figures[f"train_pairs.{reason}"] for reason in ("other-product", "wrong-number")]
    assert sum(by_reason) == len(pairs)
    assert (figures["unusable_dialogues"], figures["rows_left_out"]) == (0, 0)


def test_wrong_settings_are_named(files: dict[str, str], tmp_path: Path) -> None:
    dialogues = str(tmp_path / "train.jsonl"), str(tmp_path / "test.jsonl")
    with pytest.raises(RecipeError, match=r"reasons\.0"):
        run_preferences({"reasons": ["other-bank"]}, *dialogues, files)
    with pytest.raises(BadInputError, match="is no bank"):
        run_preferences({}, *dialogues, files, bank=str(tmp_path))
