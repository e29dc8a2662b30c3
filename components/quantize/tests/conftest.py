from pathlib import Path

import pytest

from components.core.json_lines import write_jsonl
from components.prepare.generate import generate
from components.prepare.load import load_bank
from components.train.tiny_model import write_tiny_model


@pytest.fixture(scope="session")
def train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Training rows of the built-in bank."""
    path = tmp_path_factory.mktemp("dialogues") / "train.jsonl"
    write_jsonl(path, generate(load_bank(), train_rows=200, test_rows=40, seed=1).train)
    return path


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random-weight Llama with a tokenizer of its own, a licence and generation settings."""
    corpus = generate(load_bank(), train_rows=200, test_rows=40, seed=1)
    texts = [f"{row.question} {row.answer}" for row in corpus.train]
    folder = write_tiny_model(tmp_path_factory.mktemp("tiny") / "base", texts)
    (folder / "LICENSE").write_text("Apache-2.0\n")
    return folder
