from pathlib import Path

import pytest

from components.core.json_lines import write_jsonl
from components.prepare.generate import generate
from components.prepare.load import load_bank
from components.train.tiny_model import write_tiny_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random-weight Llama of about half a million parameters with a tokenizer of its own."""
    corpus = generate(load_bank(), train_rows=400, test_rows=160, seed=1)
    texts = [f"{row.question} {row.answer}" for row in corpus.train]
    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "base", texts)


@pytest.fixture(scope="session")
def dialogues(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `train.jsonl` and `test.jsonl` of the built-in bank."""
    folder = tmp_path_factory.mktemp("dialogues")
    corpus = generate(load_bank(), train_rows=400, test_rows=160, seed=1)
    write_jsonl(folder / "train.jsonl", corpus.train)
    write_jsonl(folder / "test.jsonl", corpus.test)
    return folder
