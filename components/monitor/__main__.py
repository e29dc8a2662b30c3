"""The watch from a shell."""

from pathlib import Path
from typing import Annotated

import typer

from components.core.command_line import run
from components.monitor.watch import watch_files

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)


@app.callback()
def main() -> None:
    """Watches what the assistant is asked and what it answers."""


@app.command(
    epilog="Example: python -m components.monitor watch --reference train.jsonl "
    "--current answers.jsonl --report watch.html"
)
def watch(
    reference: Annotated[Path, typer.Option(help="JSON lines of Dialogue: training data.")],
    current: Annotated[Path, typer.Option(help="JSON lines of Answer: current traffic.")],
    report: Annotated[Path, typer.Option(help="The HTML page.")],
) -> None:
    """Compares current traffic with the training data: drift, quality."""
    for name, value in watch_files(reference, current, report).items():
        print(f"{name}: {value:.4g}")
    print(f"Report: {report}")


if __name__ == "__main__":
    run(app)
