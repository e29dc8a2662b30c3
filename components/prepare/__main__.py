"""`python -m components.prepare`: the bank's dialogues from a shell."""

from pathlib import Path
from typing import Annotated

import typer

from components.core.command_line import run
from components.prepare.load import BANK

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command()
def prepare(
    train: Annotated[Path, typer.Option(help="Training split, JSON lines.")],
    test: Annotated[Path, typer.Option(help="Test split, JSON lines.")],
    data_card: Annotated[Path, typer.Option(help="Data card, HTML.")],
    train_rows: Annotated[int, typer.Option(min=1, help="Dialogues for training.")] = 10_000,
    test_rows: Annotated[int, typer.Option(min=1, help="Dialogues for the test.")] = 700,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    bank: Annotated[Path, typer.Option(help="Folder of the bank's YAML files.")] = BANK,
) -> None:
    """Generates the dialogues of a bank, split so that the test's phrasings are new.

    Examples:

    `python -m components.prepare --train out/train.jsonl --test out/test.jsonl
    --data-card out/card.html`

    `python -m components.prepare --train a.jsonl --test b.jsonl --data-card c.html
    --train-rows 2000 --test-rows 200 --seed 7 --bank my-bank/`
    """  # noqa: D412
    from components.prepare.dataset import prepare_dataset

    corpus = prepare_dataset(
        train,
        test,
        data_card,
        train_rows=train_rows,
        test_rows=test_rows,
        seed=seed,
        bank_directory=bank,
    )
    print(f"{len(corpus.train)} train and {len(corpus.test)} test dialogues; see {data_card}")


if __name__ == "__main__":
    run(app)
