"""`python -m components.core.dialogue_schema`: exports the dialogue's JSON Schema for others.

The exported file is `dialogue_schema.json` beside this module; a test compares it with the code.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from components.core.command_line import run
from components.core.schemas import Dialogue
from components.core.whole_files import write_text

EXPORTED = Path(__file__).with_suffix(".json")
"""The copy in the repository."""

app = typer.Typer(add_completion=False)


def dialogue_schema() -> str:
    """Gives the JSON Schema (draft 2020-12) of one line of a dialogue file, as indented JSON."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema = head | Dialogue.model_json_schema()
    return json.dumps(schema, ensure_ascii=False, indent=2) + "\n"


@app.command()
def export(
    output: Annotated[Path, typer.Option(help="Where the schema goes, JSON.")] = EXPORTED,
) -> None:
    """Writes the JSON Schema of `Dialogue`; run it after a change of the schema.

    Args:
        output: The file, which appears whole or not at all; missing folders are made.
    """
    write_text(output, dialogue_schema())


if __name__ == "__main__":
    run(app)
