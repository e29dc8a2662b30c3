"""`python -m components.prepare.synthesis`: dialogues from a teacher, from a shell."""

from pathlib import Path
from typing import Annotated

import typer

from components.core.command_line import run
from components.prepare.load import BANK

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command()
def synthesize(
    recipe: Annotated[Path, typer.Option(help="YAML file with the source's settings.")],
    work_dir: Annotated[Path, typer.Option(help="Folder of the journal and the results.")],
    bank: Annotated[Path, typer.Option(help="Folder of the bank's YAML files.")] = BANK,
) -> None:
    """Has a teacher write dialogues from a bank's facts, and a judge sift them.

    A run that was stopped goes on when the same command is given again, and pays for nothing twice.

    Examples:

    `python -m components.prepare.synthesis --recipe teacher.yaml --work-dir out/teacher`

    `python -m components.prepare.synthesis --recipe teacher.yaml --work-dir out/teacher
    --bank my-bank/`
    """  # noqa: D412
    from components.core.recipes import load_recipe
    from components.prepare.load import load_bank
    from components.prepare.personal_data.masking import Masker, MaskingSettings
    from components.prepare.synthesis.results import SynthesisResult
    from components.prepare.synthesis.settings import SyntheticSource
    from components.prepare.synthesis.synthesize import synthesize as synthesize_source

    masker = Masker(MaskingSettings())
    source = load_recipe(recipe, SyntheticSource)
    result: SynthesisResult = synthesize_source(
        load_bank(bank), source, work_dir, lambda text: masker.mask_text(text)[0]
    )
    print(result.table())


if __name__ == "__main__":
    run(app)
