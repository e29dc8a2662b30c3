"""The evaluation from a shell: ask a contender, compare all, check the gates."""

from pathlib import Path
from typing import Annotated

import typer

from components.core.command_line import run
from components.core.errors import BadInputError
from components.core.llm import Asking, Endpoint
from components.core.prices import Prices
from components.core.recipes import load_recipe
from components.evaluate.answers import Contender, answer_file
from components.evaluate.contenders import read_contenders
from components.evaluate.gates import enforce, load_gates
from components.evaluate.leaderboard import Leaderboard, read_board
from components.evaluate.measures import measure
from components.evaluate.page import Links
from components.evaluate.report import ReportInputs, write_report
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
    "--candidate tuned.jsonl --losses losses.jsonl --gates gates.yaml --report report.html"
)
def leaderboard(
    baseline: Annotated[Path, typer.Option(help="The baseline's answers.")],
    candidate: Annotated[Path, typer.Option(help="Answers of the model to be released.")],
    report: Annotated[Path, typer.Option(help="The HTML page.")],
    contender: Annotated[
        list[Path] | None, typer.Option(help="Another contender's answers; repeatable.")
    ] = None,
    losses: Annotated[Path | None, typer.Option(help="JSON lines of LossPoint.")] = None,
    agreement: Annotated[Path | None, typer.Option(help="JSON: how far the judge agrees.")] = None,
    base_benchmarks: Annotated[
        Path | None, typer.Option(help="JSON: benchmarks of the base model.")
    ] = None,
    candidate_benchmarks: Annotated[
        Path | None, typer.Option(help="JSON: benchmarks of the candidate.")
    ] = None,
    recovery: Annotated[
        Path | None, typer.Option(help="JSON: what the candidate kept in quantization.")
    ] = None,
    contenders: Annotated[
        Path | None, typer.Option(help="YAML of contenders, for their prices.")
    ] = None,
    gates: Annotated[Path | None, typer.Option(help="YAML: what the candidate must show.")] = None,
    board: Annotated[Path | None, typer.Option(help="The figures as JSON.")] = None,
    emulated_baseline: Annotated[
        bool, typer.Option(help="The baseline stands in for GigaChat: say so.")
    ] = True,
    base_model: Annotated[str, typer.Option(help="The model that stands in for GigaChat.")] = "",
    watch_link: Annotated[str, typer.Option(help="Relative address of the watch report.")] = "",
    data_card_link: Annotated[str, typer.Option(help="Relative address of the data card.")] = "",
    recovery_link: Annotated[str, typer.Option(help="Relative address of its report.")] = "",
) -> None:
    """Ranks contenders against the baseline on the same questions; a failed gate is shown."""
    benchmarks = [path for path in (base_benchmarks, candidate_benchmarks) if path]
    if len(benchmarks) == 1:
        raise BadInputError("Benchmarks are compared: give those of the base model and candidate.")
    inputs = ReportInputs(
        answers=[baseline, candidate, *(contender or [])],
        losses=losses,
        agreement=agreement,
        benchmarks=(benchmarks[0], benchmarks[1]) if benchmarks else None,
        prices=_prices(contenders),
        gates=load_gates(gates) if gates else None,
        recovery=recovery,
        links=Links(watch=watch_link, data_card=data_card_link, recovery=recovery_link),
        emulated_baseline=emulated_baseline,
        base_model=base_model,
    )
    _print(write_report(inputs, report, board), emulated_baseline)
    print(f"Report: {report}")


@app.command(epilog="Example: python -m components.evaluate gate board.json")
def gate(board: Annotated[Path, typer.Argument(help="The leaderboard's JSON.")]) -> None:
    """Says whether the candidate passed its gates; leaves with 2 when it did not."""
    verdicts = read_board(board).gates
    enforce(verdicts)
    for verdict in verdicts:
        print(f"passed: {verdict.gate.name}: {verdict.sentence}")


def _prices(contenders: Path | None) -> dict[str, Prices]:
    found = read_contenders(contenders) if contenders else ()
    return {each.name: each.prices for each in found if each.prices}


def _print(board: Leaderboard, emulated_baseline: bool) -> None:
    for row in board.standings:
        accuracy = row.measures.accuracy
        shown = f"{accuracy.mean:.1%} of exact facts" if accuracy else "no facts required"
        verdict = f", {row.facts.verdict}" if row.facts else ""
        print(f"{row.measures.contender}: {shown}{verdict}")
    for gated in board.gates:
        print(f"{'passed' if gated.passed else 'FAILED'}: {gated.gate.name}: {gated.sentence}")
    if emulated_baseline:
        print("The baseline is an emulated, weak stand-in for GigaChat.")


if __name__ == "__main__":
    run(app)
