"""`python -m components.evaluate.benchmarks`: benchmarks and the regression guard, from a shell."""

from pathlib import Path
from typing import Annotated

import typer

from components.core.command_line import run as run_application

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")
GUARDED = 10.0


@app.command()
def run(
    endpoint: Annotated[str, typer.Option(help="URL of an OpenAI-compatible API, with /v1.")],
    model: Annotated[str, typer.Option(help="The name that the model is served by.")],
    tokenizer: Annotated[Path, typer.Option(help="Folder of its tokenizer and chat template.")],
    out: Annotated[Path, typer.Option(help="The results, JSON.")],
    benchmark: Annotated[
        list[str] | None, typer.Option(help="A recipe's name or path; repeatable.")
    ] = None,
    test: Annotated[
        Path | None, typer.Option(help="Test dialogues, JSON lines; the built-in bank's if none.")
    ] = None,
    questions: Annotated[int, typer.Option(help="Of each benchmark about the bank.")] = 48,
    product: Annotated[list[str] | None, typer.Option(help="Only these products.")] = None,
    intent: Annotated[list[str] | None, typer.Option(help="Only these intents.")] = None,
    data: Annotated[
        list[str] | None, typer.Option(help="BENCHMARK=FOLDER: where its data set is mirrored.")
    ] = None,
    hub: Annotated[bool, typer.Option(help="Data sets may come from the hub.")] = False,
    concurrency: Annotated[int, typer.Option(help="Requests in flight.")] = 8,
    api_key_env: Annotated[str, typer.Option(help="Variable that holds the key.")] = "",
    weights: Annotated[str, typer.Option(help="Address of the weights that are served.")] = "",
) -> None:
    """Measures a served model, and keeps what was measured.

    Examples:

    `python -m components.evaluate.benchmarks run --endpoint http://127.0.0.1:8000/v1
    --model finist --tokenizer models/tuned --out tuned.json`

    `python -m components.evaluate.benchmarks run --endpoint http://127.0.0.1:8000/v1
    --model finist --tokenizer models/tuned --out open.json
    --benchmark mmlu_finance --data mmlu_finance=/data/mmlu`
    """  # noqa: D412
    from components.core.llm import Endpoint
    from components.core.recipes import check_recipe
    from components.evaluate.benchmarks.harness import run_benchmarks
    from components.evaluate.benchmarks.settings import BenchmarkSettings

    asked: dict[str, object] = {
        "questions": questions,
        "subset": {"products": product, "intents": intent},
        "data": _folders(data or []),
        "hub": hub,
        "concurrency": concurrency,
    }
    settings = check_recipe(
        "The options",
        asked | ({"benchmarks": benchmark} if benchmark else {}),
        BenchmarkSettings,
    )
    where = Endpoint(base_url=endpoint, model=model, api_key_env=api_key_env)
    for task in run_benchmarks(where, tokenizer, settings, out, test, weights).tasks:
        if task.value is None:
            print(f"{task.benchmark}: skipped, {task.skipped}")
        else:
            print(
                f"{task.benchmark}: {task.metric} {task.value.mean:.1%} ({task.value.low:.1%} to "
                f"{task.value.high:.1%}), n = {task.n}, {task.seconds:.1f} s"
            )
    print(f"Results: {out}")


@app.command()
def compare(
    base: Annotated[Path, typer.Argument(help="Results of the model before training.")],
    candidate: Annotated[Path, typer.Argument(help="Results of the model after it.")],
    threshold: Annotated[
        float, typer.Option(help="Points of general ability that may be lost.")
    ] = GUARDED,
) -> None:
    """Compares two models document by document; leaves with 2 when the general ability fell.

    Example:

    `python -m components.evaluate.benchmarks compare base.json tuned.json --threshold 10`
    """  # noqa: D412
    from components.evaluate.benchmarks.regression import guard
    from components.evaluate.benchmarks.results import read_results

    found = guard(read_results(base), read_results(candidate), threshold)
    for each in found:
        print(each.note)
    if any(each.fell for each in found):
        raise typer.Exit(2)


def _folders(named: list[str]) -> dict[str, str]:
    """Splits `BENCHMARK=FOLDER`."""
    from components.core.errors import BadInputError

    wrong = [each for each in named if "=" not in each]
    if wrong:
        raise BadInputError(f"--data {wrong[0]} is not BENCHMARK=FOLDER; write it like that.")
    return dict(each.split("=", 1) for each in named)


if __name__ == "__main__":
    run_application(app)
