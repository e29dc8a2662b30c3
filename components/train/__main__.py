"""Command line of the training stage: `python -m components.train`."""

from pathlib import Path
from typing import Annotated

import typer

from components.core import command_line
from components.core.recipes import load_recipe
from components.prepare.subset import Subset
from components.train.settings import SftSettings

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)


@app.command("base-model")
def base_model(
    target: Annotated[Path, typer.Argument(help="Folder to write.")],
    name: Annotated[
        str, typer.Option(help="smollm2-135m-instruct, a folder, s3:// address or hub id.")
    ] = "smollm2-135m-instruct",
) -> None:
    """Write a base model's weights, tokenizer and chat template into a folder.

    Example: python -m components.train base-model out/base
    """
    from components.train.base_model import materialize

    print(materialize(name, target))


@app.command()
def sft(
    recipe: Annotated[Path, typer.Option(help="YAML with the fields of SftSettings.")],
    base: Annotated[Path, typer.Option(help="The base model's folder.")],
    train: Annotated[Path, typer.Option(help="Dialogues to learn, JSON lines.")],
    test: Annotated[Path, typer.Option(help="Dialogues held out, JSON lines.")],
    out: Annotated[Path, typer.Option(help="Folder for adapter, losses and loss curve.")],
    subset: Annotated[Path | None, typer.Option(help="YAML: products, intents, rows.")] = None,
) -> None:
    """Train a LoRA adapter; run again after an interruption, it goes on.

    Example: python -m components.train sft --recipe sft.yaml --base out/base
    --train out/train.jsonl --test out/test.jsonl --out out/sft
    """
    from components.train.sft_step import run_step

    settings = load_recipe(recipe, SftSettings)
    out.mkdir(parents=True, exist_ok=True)
    places = {"base": base, "train": train, "test": test, "adapter": out / "adapter"}
    paths = {name: str(path) for name, path in places.items()}
    paths["losses"] = str(out / "losses.jsonl")
    part = load_recipe(subset, Subset).model_dump() if subset else None
    figures = run_step(settings.model_dump(mode="json"), paths, str(out / "curve.html"), part)
    for name, value in figures.items():
        print(f"{name} {value}")


@app.command()
def merge(
    base: Annotated[Path, typer.Option(help="The base model's folder.")],
    adapter: Annotated[Path, typer.Option(help="The adapter's folder.")],
    out: Annotated[Path, typer.Option(help="Folder for the merged model.")],
) -> None:
    """Merge an adapter into its base and check that the logits stay.

    Example: python -m components.train merge --base out/base --adapter out/sft/adapter
    --out out/merged
    """
    from components.train.merge import merge as merge_adapter

    print(f"relative logit difference {merge_adapter(base, adapter, out):.1e}")


if __name__ == "__main__":
    command_line.run(app)
