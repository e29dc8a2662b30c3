"""The whole step: a bank's catalogue in, two files of dialogues and a data card out."""

from pathlib import Path

from components.core.errors import BadInputError
from components.core.schemas import write_jsonl
from components.prepare.data_card import data_card
from components.prepare.generate import Corpus, generate
from components.prepare.load import BANK, load_bank


def prepare_dataset(
    train: Path,
    test: Path,
    card: Path,
    *,
    train_rows: int,
    test_rows: int,
    seed: int,
    bank_directory: Path = BANK,
) -> Corpus:
    """Generates the dialogues, splits them and writes them with their data card.

    Args:
        train: Where the training split goes, JSON lines of Dialogue.
        test: Where the test split goes, JSON lines of Dialogue.
        card: Where the data card goes, HTML.
        train_rows: Dialogues for training.
        test_rows: Dialogues for the test.
        seed: The same seed gives the same bytes.
        bank_directory: A folder of YAML files; the built-in fictional bank by default.

    Returns:
        What was written. Each file appears whole or not at all.

    Raises:
        CatalogueError: The bank cannot be used, or is too small for what was asked.
        BadInputError: Two outputs are one file, or a number of rows is not positive.
    """
    _refuse_bad_request((train, test, card), (train_rows, test_rows))
    bank = load_bank(bank_directory)
    corpus = generate(bank, train_rows=train_rows, test_rows=test_rows, seed=seed)
    write_jsonl(train, corpus.train)
    write_jsonl(test, corpus.test)
    _write_text(card, data_card(bank, corpus, seed))
    return corpus


def _refuse_bad_request(outputs: tuple[Path, ...], rows: tuple[int, ...]) -> None:
    if len({path.absolute() for path in outputs}) < len(outputs):
        raise BadInputError(f"{', '.join(map(str, outputs))} must be three different files.")
    if min(rows) < 1:
        raise BadInputError(f"Ask for at least 1 row of each split, not {rows[0]} and {rows[1]}.")


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
