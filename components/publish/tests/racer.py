"""A process that looks at `production`, waits for a line, and moves it: half of a race."""

import sys

import typer

from components.core.command_line import run
from components.core.settings import StoreSettings
from components.publish import pointers

app = typer.Typer()


@app.command()
def race(name: str, version: str) -> None:
    seen = pointers.look(StoreSettings(), name, "production")
    print("looked", flush=True)
    sys.stdin.readline()
    pointers.move(StoreSettings(), seen, version)


if __name__ == "__main__":
    run(app)
