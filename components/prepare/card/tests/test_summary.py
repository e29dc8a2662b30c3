"""Evidently's page beside the card: real Evidently, small files."""

from pathlib import Path

import pytest

from components.core.errors import BadInputError
from components.core.json_lines import write_jsonl
from components.prepare.card import summary
from components.prepare.card.summary import write_summary
from components.prepare.generate import generate
from components.prepare.load import load_bank

pytestmark = pytest.mark.slow  # importing Evidently takes 8 s of a core


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("bank")
    corpus = generate(load_bank(), train_rows=300, test_rows=150, seed=0)
    write_jsonl(folder / "train.jsonl", corpus.train)
    write_jsonl(folder / "test.jsonl", corpus.test)
    return folder / "train.jsonl", folder / "test.jsonl"


def test_the_page_needs_no_network_and_holds_no_dialogue(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    write_summary(*files, tmp_path / "out/summary.html", seed=0)
    page = (tmp_path / "out/summary.html").read_text("utf-8")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["summary.html"]
    assert '<script src="http' not in page
    assert "url(http" not in page
    for column in ("intent", "answer characters", "required facts", "synthetic:built-in-bank"):
        assert column in page
    assert '["number of rows", "150", "300"]' in page
    assert "judge score" not in page
    assert "<b>Current</b> is the test" in page
    assert "вклад" not in page


def test_a_large_file_is_sampled(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summary, "MOST_ROWS", 123)
    write_summary(*files, tmp_path / "s.html", seed=0)
    page = (tmp_path / "s.html").read_text("utf-8")
    assert '["number of rows", "123", "123"]' in page


def test_no_rows_is_one_sentence(files: tuple[Path, Path], tmp_path: Path) -> None:
    write_jsonl(tmp_path / "empty.jsonl", [])
    with pytest.raises(BadInputError, match=r"empty\.jsonl holds no rows"):
        write_summary(files[0], tmp_path / "empty.jsonl", tmp_path / "s.html", seed=0)
