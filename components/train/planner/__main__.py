"""`python -m components.train.planner`: what fits on which GPUs, and how fast, from a shell."""

from typing import Annotated, Any, Literal

import typer

from components.core import command_line
from components.core.errors import BadInputError
from components.core.recipes import check_recipe
from components.train.planner.gpus import parse_gpus
from components.train.planner.model_shape import load_shape
from components.train.planner.plan import plan_serving, plan_training
from components.train.planner.settings import Method, Quantization, ServingWork, TrainingWork
from components.train.planner.table import as_json, as_table

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
Given = dict[str, Any]


@app.command()
def plan(
    model: Annotated[str, typer.Option(help="llama-3.1-70b and the like, or a config.json.")],
    gpus: Annotated[
        str, typer.Option(help="As 4xA100-80GB; also A100-40GB, H100-80GB, H200-141GB.")
    ],
    task: Annotated[Literal["sft", "orpo", "serve"], typer.Option(help="What to plan.")],
    method: Annotated[Method | None, typer.Option(help="Training only [lora].")] = None,
    sequence_tokens: Annotated[int | None, typer.Option(help="Training: a row [2048].")] = None,
    micro_batch: Annotated[int | None, typer.Option(help="Training: rows at once [1].")] = None,
    accumulation: Annotated[
        int | None, typer.Option(help="Training: micro-batches in an update [8].")
    ] = None,
    lora_rank: Annotated[int | None, typer.Option(help="Training: adapters' rank [16].")] = None,
    dialogue_tokens: Annotated[
        int | None, typer.Option(help="Training: of a dialogue [512].")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Training: passes over the data [1].")] = None,
    checkpointing: Annotated[
        bool | None,
        typer.Option(
            "--checkpointing/--no-checkpointing", help="Training: compute layers twice [yes]."
        ),
    ] = None,
    compiled: Annotated[
        bool | None,
        typer.Option(
            "--compiled/--not-compiled", help="Training: compile_layers of a recipe [no]."
        ),
    ] = None,
    quantization: Annotated[Quantization | None, typer.Option(help="Serving only [none].")] = None,
    prompt_tokens: Annotated[int | None, typer.Option(help="Serving: of a request [500].")] = None,
    answer_tokens: Annotated[int | None, typer.Option(help="Serving: of an answer [500].")] = None,
    deadline_seconds: Annotated[
        float | None, typer.Option(help="Serving: for a full answer [120].")
    ] = None,
    dialogues: Annotated[int | None, typer.Option(help="To learn or to answer [10000].")] = None,
    as_json_object: Annotated[bool, typer.Option("--json", help="JSON, sizes in bytes.")] = False,
) -> None:
    """Say what fits on which GPUs, how it is spread, and how fast it is.

    Leaves with 2 when the model does not fit, and says what would. Predictions, not measurements.

    Examples:

    `python -m components.train.planner --model llama-3.1-70b --gpus 4xA100-80GB --task sft
    --method lora`

    `python -m components.train.planner --model llama-3.1-405b --gpus 4xA100-80GB --task serve
    --quantization w4a16`

    `python -m components.train.planner --model out/base --gpus 1xH100-80GB --task orpo --json`
    """  # noqa: D412
    training: Given = {
        "method": method,
        "sequence_tokens": sequence_tokens,
        "micro_batch": micro_batch,
        "accumulation": accumulation,
        "lora_rank": lora_rank,
        "dialogue_tokens": dialogue_tokens,
        "epochs": epochs,
        "checkpointing": checkpointing,
        "compiled": compiled,
    }
    serving: Given = {
        "quantization": quantization,
        "prompt_tokens": prompt_tokens,
        "answer_tokens": answer_tokens,
        "deadline_seconds": deadline_seconds,
    }
    shape, pool, shared = load_shape(model), parse_gpus(gpus), {"dialogues": dialogues}
    write = as_json if as_json_object else as_table
    if task == "serve":
        _refuse(training, "trains", "serve")
        print(
            write(
                plan_serving(
                    shape, pool, check_recipe("serving", _set({**serving, **shared}), ServingWork)
                )
            )
        )
    else:
        _refuse(serving, "serves", task)
        work = _set({**training, **shared, "task": task})
        print(write(plan_training(shape, pool, check_recipe("training", work, TrainingWork))))


def _set(options: Given) -> Given:
    return {name: value for name, value in options.items() if value is not None}


def _refuse(options: Given, does: str, task: str) -> None:
    for name in _set(options):
        hint = " (4-bit training is --method qlora)" if name == "quantization" else ""
        raise BadInputError(
            f"--{name.replace('_', '-')} is for a plan that {does}, and --task is {task}: "
            f"leave it out{hint}."
        )


if __name__ == "__main__":
    command_line.run(app)
