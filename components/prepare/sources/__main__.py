"""`python -m components.prepare.sources`: the brief and the empty table for copywriters."""

from pathlib import Path
from typing import Annotated

import typer

from components.core.command_line import run
from components.prepare.load import BANK

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command()
def brief(
    text: Annotated[Path, typer.Option(help="The brief, Markdown in Russian.")],
    workbook: Annotated[Path, typer.Option(help="The empty table, XLSX.")],
    bank: Annotated[Path, typer.Option(help="Folder of the bank's YAML files.")] = BANK,
    dialogues_per_intent: Annotated[int, typer.Option(min=1, help="Dialogues to ask for.")] = 20,
    deadline: Annotated[str, typer.Option(help="As it should stand in the text.")] = "",
    contact: Annotated[str, typer.Option(help="Whom copywriters may ask.")] = "",
) -> None:
    """Writes what copywriters get; the filled table is an `own` source of the data set's recipe.

    Example:

    `python -m components.prepare.sources --text out/brief.md --workbook out/dialogues.xlsx`
    """  # noqa: D412
    from components.prepare.load import load_bank
    from components.prepare.sources.brief import Brief, write_brief, write_workbook

    catalogue = load_bank(bank)
    wanted = Brief(dialogues_per_intent=dialogues_per_intent, deadline=deadline, contact=contact)
    write_brief(catalogue, text, wanted)
    write_workbook(catalogue, workbook)
    print(f"{text} and {workbook}: {len(catalogue.intents)} intents")


if __name__ == "__main__":
    run(app)
