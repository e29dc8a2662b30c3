"""The evaluation from a shell: `answer` asks a contender, `leaderboard` compares and reports."""

from pathlib import Path
from typing import Annotated

import typer

from components.core.command_line import run
from components.core.llm import Asking, Endpoint
from components.core.recipes import load_recipe
from components.evaluate.answers import Contender, answer_file
from components.evaluate.measures import measure
from components.evaluate.report import Links, write_report
from components.prepare.subset import Subset

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)


@app.command(
    epilog="Example: python -m components.evaluate answer --contender tuned "
    "--endpoint http://127.0.0.1:8000/v1 --model finist --test test.jsonl --answers tuned.jsonl"
)
def answer(
    contender: Annotated[str, typer.Option(help="Its name in the leaderboard.")],
    endpoint: Annotated[str, typer.Option(help="URL of an OpenAI-compatible API, with /v1.")],
    model: Annotated[str, typer.Option(help="The name under which the model is served.")],
    test: Annotated[Path, typer.Option(help="JSON lines of Dialogue: the questions.")],
    answers: Annotated[Path, typer.Option(help="Where the answers go, JSON lines.")],
    questions: Annotated[int, typer.Option(min=0, help="At most so many; 0 for all.")] = 0,
    subset: Annotated[Path | None, typer.Option(help="YAML: products, intents, rows.")] = None,
    prompt: Annotated[str, typer.Option(help="A file of prompts/ to send as system.")] = "",
    max_tokens: Annotated[int, typer.Option(min=1, help="Limit of an answer.")] = 256,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests in flight.")] = 8,
    api_key_env: Annotated[str, typer.Option(help="Variable that holds the key.")] = "",
) -> None:
    """Asks a contender the test questions; run it again to go on after an interruption."""
    where = Endpoint(base_url=endpoint, model=model, api_key_env=api_key_env)
    how = Asking(max_tokens=max_tokens, concurrency=concurrency)
    who = Contender(name=contender, endpoint=where, prompt=prompt, asking=how)
    part = load_recipe(subset, Subset) if subset else None
    answered = answer_file(test, answers, who, questions, part)
    found = measure(answered.answers)
    print(
        f"{found.questions} answers of {contender} are in {answers}; "
        f"{answered.from_cache} came from the cache."
    )
    if found.accuracy:
        print(
            f"Exact facts {found.accuracy.mean:.1%} "
            f"(95% interval {found.accuracy.low:.1%} to {found.accuracy.high:.1%})."
        )
    print(", ".join(f"{count} {name}" for name, count in found.outcomes.items()))


@app.command(
    epilog="Example: python -m components.evaluate leaderboard --baseline gigachat.jsonl "
    "--candidate tuned.jsonl --losses losses.jsonl --report report.html"
)
def leaderboard(
    baseline: Annotated[Path, typer.Option(help="The baseline's answers.")],
    candidate: Annotated[list[Path], typer.Option(help="A contender's answers; repeatable.")],
    report: Annotated[Path, typer.Option(help="The HTML page.")],
    losses: Annotated[Path | None, typer.Option(help="JSON lines of LossPoint.")] = None,
    summary: Annotated[Path | None, typer.Option(help="The figures as JSON.")] = None,
    emulated_baseline: Annotated[
        bool, typer.Option(help="The baseline stands in for GigaChat: say so.")
    ] = True,
    base_model: Annotated[str, typer.Option(help="The model that stands in for GigaChat.")] = "",
    watch_link: Annotated[str, typer.Option(help="Relative address of the watch report.")] = "",
    data_card_link: Annotated[str, typer.Option(help="Relative address of the data card.")] = "",
) -> None:
    """Ranks contenders against the baseline on the same questions."""
    links = Links(watch=watch_link, data_card=data_card_link)
    files = [baseline, *candidate]
    board = write_report(files, losses, report, summary, links, emulated_baseline, base_model)
    for row in board.standings:
        accuracy = row.measures.accuracy
        shown = f"{accuracy.mean:.1%} of exact facts" if accuracy else "no facts required"
        verdict = f", {row.comparison.verdict}" if row.comparison else ", the baseline"
        print(f"{row.measures.contender}: {shown}{verdict}")
    if emulated_baseline:
        print("The baseline is an emulated, weak stand-in for GigaChat.")
    print(f"Report: {report}")


if __name__ == "__main__":
    run(app)
