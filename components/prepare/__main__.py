"""`python -m components.prepare`: a dataset from a recipe, from a shell."""

import os
from pathlib import Path
from typing import Annotated

import typer

from components.core.command_line import run

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")

HOME = Path(os.environ.get("FINIST_HOME", ".finist"))


@app.command()
def prepare(
    out: Annotated[Path, typer.Option(help="Folder of the dataset and its data card.")],
    recipe: Annotated[Path, typer.Option(help="YAML file, or the name of one in recipes/.")] = Path(
        "built-in-bank"
    ),
    home: Annotated[Path, typer.Option(help="Keeps unfinished runs and paid replies.")] = HOME,
    parquet: Annotated[bool, typer.Option(help="Also write train.parquet, test.parquet.")] = False,
) -> None:
    """Makes one clean, masked, deduplicated, leak-free dataset from its sources.

    A run that was stopped goes on when the same command is given again.

    Examples:

    `python -m components.prepare --out out/`

    `python -m components.prepare --recipe my-bank.yaml --out out/ --parquet`

    Beside it: `python -m components.prepare.sources` (brief for copywriters, a look at a file),
    `python -m components.prepare.synthesis` (a teacher alone).
    """  # noqa: D412
    from components.prepare.card.page import percent
    from components.prepare.dataset import DatasetFiles, prepare_dataset
    from components.prepare.recipe import read_recipe

    files = DatasetFiles(
        train=out / "train.jsonl",
        test=out / "test.jsonl",
        data_card=out / "data_card.html",
        card_json=out / "data_card.json",
        summary=out / "data_summary.html",
        quarantine=out / "quarantine.jsonl",
        near_duplicates=out / "near_duplicates.jsonl",
    )
    card = prepare_dataset(read_recipe(recipe), files, home)
    if parquet:
        _write_parquet(files.train, files.test)
    for stage in card.stages:
        print(f"{stage.name:<20}{stage.rows_in:>10,} -> {stage.rows_out:>10,}  {stage.note}")
    if card.languages_dropped:
        dropped = (f"{code} {rows:,}" for code, rows in card.languages_dropped.items())
        share = sum(card.languages_dropped.values()) / card.stages[0].rows_out
        print(f"other languages, left out: {percent(share)} of the rows ({', '.join(dropped)})")
    left_out = sum(rejected.rows for rejected in card.rejected)
    print(f"{left_out:,} rows left out: {files.quarantine}")
    removed = sum(card.duplicates.removed.values()) if card.duplicates else 0
    print(f"{removed:,} near-duplicates removed: {files.near_duplicates}")
    for synthesis in card.syntheses:
        money = sum(spent.money for spent in synthesis.spending)
        print(f"{synthesis.source}: {synthesis.accepted:,} kept, {money:.2f} {synthesis.currency}")
    print(f"{card.dataset.train:,} train, {card.dataset.test:,} test; see {files.data_card}")


def _write_parquet(*paths: Path) -> None:
    from components.core.json_lines import stream_rows
    from components.core.parquet import write_parquet
    from components.core.schemas import Dialogue

    for path in paths:
        write_parquet(path.with_suffix(".parquet"), stream_rows(path, Dialogue))


if __name__ == "__main__":
    run(app)
