"""Command line of the training stage: `python -m components.train`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from components.core import command_line
from components.core.recipes import load_recipe
from components.prepare.subset import Subset
from components.train.settings import DistillSettings, OrpoSettings, SftSettings

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
    from components.train.training_step import run_sft

    settings = load_recipe(recipe, SftSettings)
    part = load_recipe(subset, Subset).model_dump() if subset else None
    paths = _paths(out, base=base, train=train, test=test)
    figures = run_sft(settings.model_dump(mode="json"), paths, str(out / "curve.html"), part)
    _show(figures)


@app.command()
def orpo(
    recipe: Annotated[Path, typer.Option(help="YAML with the fields of OrpoSettings.")],
    base: Annotated[Path, typer.Option(help="The base model's folder.")],
    train: Annotated[Path, typer.Option(help="Preference pairs to learn, JSON lines.")],
    test: Annotated[Path, typer.Option(help="Preference pairs held out, JSON lines.")],
    out: Annotated[Path, typer.Option(help="Folder for adapter, losses and loss curve.")],
    start: Annotated[Path | None, typer.Option(help="Adapter to go on from.")] = None,
) -> None:
    """Train an adapter on preference pairs; run again after an interruption, it goes on.

    Example: python -m components.train orpo --recipe orpo.yaml --base out/base
    --train out/pairs.jsonl --test out/test_pairs.jsonl --start out/sft/adapter --out out/orpo
    """
    from components.train.training_step import run_orpo

    settings = load_recipe(recipe, OrpoSettings).model_dump(mode="json")
    paths = _paths(out, base=base, train=train, test=test)
    _show(run_orpo(settings, paths, str(out / "curve.html"), str(start) if start else None))


@app.command()
def distill(
    recipe: Annotated[Path, typer.Option(help="YAML with the fields of DistillSettings.")],
    teacher: Annotated[Path, typer.Option(help="The teacher's folder.")],
    train: Annotated[Path, typer.Option(help="Dialogues to learn, JSON lines.")],
    test: Annotated[Path, typer.Option(help="Dialogues held out, JSON lines.")],
    out: Annotated[Path, typer.Option(help="Folder for student, adapter and loss curve.")],
    base: Annotated[
        Path | None, typer.Option(help="The student's base; not with student_layers.")
    ] = None,
    teacher_answers: Annotated[
        Path | None, typer.Option(help="Its answers to the training questions, JSON lines.")
    ] = None,
    subset: Annotated[Path | None, typer.Option(help="YAML: products, intents, rows.")] = None,
) -> None:
    """Train a small student to answer like its teacher; run again to go on.

    Example: python -m components.train distill --recipe distill.yaml --teacher out/merged
    --train out/train.jsonl --test out/test.jsonl --out out/distill
    """
    from components.train.training_step import run_distill

    settings = load_recipe(recipe, DistillSettings).model_dump(mode="json")
    part = load_recipe(subset, Subset).model_dump() if subset else None
    read = {"base": base or out / "base", "teacher": teacher, "train": train, "test": test}
    paths = _paths(out, **read, student=out / "student")
    answers = str(teacher_answers) if teacher_answers else None
    _show(run_distill(settings, paths, str(out / "curve.html"), part, answers))


@app.command()
def trainjob(
    recipe: Annotated[Path, typer.Option(help="YAML with the fields of SftSettings.")],
    base: Annotated[str, typer.Option(help="The base model's folder on the shared volume.")],
    train: Annotated[str, typer.Option(help="Dialogues to learn, there.")],
    test: Annotated[str, typer.Option(help="Dialogues held out, there.")],
    out: Annotated[str, typer.Option(help="Folder for what comes of it, there.")],
    subset: Annotated[Path | None, typer.Option(help="YAML: products, intents, rows.")] = None,
    name: Annotated[str, typer.Option(help="Name of the objects.")] = "finist-training",
) -> None:
    """Print the TrainJob (Kubeflow Trainer) that trains a recipe on several nodes, for kubectl.

    Example: python -m components.train trainjob --recipe sft.yaml --base /workspace/base
    --train /workspace/train.jsonl --test /workspace/test.jsonl --out /workspace/sft
    """
    from components.train.trainjob import as_yaml_stream, train_job

    settings = load_recipe(recipe, SftSettings)
    part = load_recipe(subset, Subset) if subset else None
    files = {"base": base, "train": train, "test": test, "out": out}
    print(as_yaml_stream(train_job("sft", settings, files, name, subset=part)), end="")


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


def _paths(out: Path, **read: Path) -> dict[str, str]:
    """What a training command reads, and what it writes into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    written = {name: out / name for name in ("adapter", "tensorboard")}
    written["losses"] = out / "losses.jsonl"
    return {name: str(path) for name, path in (read | written).items()}


def _show(figures: Mapping[str, float]) -> None:
    """Prints the figures, in the first of a run's processes only."""
    if int(os.environ.get("RANK", "0")):
        return
    for name, value in figures.items():
        print(f"{name} {value}")


if __name__ == "__main__":
    command_line.run(app)
