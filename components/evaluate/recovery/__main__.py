"""The recovery from a shell: figures of a served model, and what quantization kept of it."""

from pathlib import Path
from typing import Annotated

import typer

from components.core.command_line import run
from components.core.errors import BadInputError
from components.core.llm import Endpoint
from components.core.recipes import check_recipe, load_recipe
from components.evaluate.recovery.measure import measure_served
from components.evaluate.recovery.recovered import Recovery
from components.evaluate.recovery.report import RecoveryInputs, write_recovery
from components.evaluate.recovery.settings import ServedSettings
from components.prepare.subset import Subset

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)


@app.command(
    epilog="Example: python -m components.evaluate.recovery measure "
    "--endpoint http://127.0.0.1:8000/v1 --model finist --tokenizer models/w4a16 "
    "--test test.jsonl --figures w4a16.json"
)
def measure(
    endpoint: Annotated[str, typer.Option(help="URL of vLLM's OpenAI-compatible API, with /v1.")],
    model: Annotated[str, typer.Option(help="The name under which the model is served.")],
    tokenizer: Annotated[Path, typer.Option(help="Folder of its tokenizer and chat template.")],
    test: Annotated[Path, typer.Option(help="JSON lines of Dialogue that it never learnt from.")],
    figures: Annotated[Path, typer.Option(help="Where the figures go, JSON.")],
    settings: Annotated[Path | None, typer.Option(help="YAML: fields of ServedSettings.")] = None,
    subset: Annotated[Path | None, typer.Option(help="YAML: products, intents, rows.")] = None,
    machine: Annotated[str, typer.Option(help="What it is served on, if not here.")] = "",
    weights: Annotated[str, typer.Option(help="Address of the weights that are served.")] = "",
) -> None:
    """Measures a served model: its loss on held-out dialogues, and how fast it writes."""
    where = Endpoint(base_url=endpoint, model=model)
    how = load_recipe(settings, ServedSettings) if settings else ServedSettings()
    if machine:
        how = check_recipe("The options", how.model_dump() | {"machine": machine}, ServedSettings)
    part = load_recipe(subset, Subset) if subset else None
    found = measure_served(where, tokenizer, test, figures, how, part, weights)
    print(
        f"Held-out loss {found.loss:.4f} nats a token (perplexity {found.perplexity:.4f}) on "
        f"{len(found.dialogues)} dialogues, {found.too_long} too long."
    )
    for load in found.loads:
        print(
            f"{load.concurrency} in flight: {load.tokens_per_second:.0f} tokens/s, first token "
            f"{load.first_token_p50:.3f} s, answer {load.latency_p50:.2f} s (p95 "
            f"{load.latency_p95:.2f} s)"
        )
    print(f"Figures: {figures}")


@app.command(
    epilog="Example: python -m components.evaluate.recovery report --before-answers tuned.jsonl "
    "--after-answers w4a16.jsonl --before-figures tuned.json --after-figures w4a16.json "
    "--quantization quantization.json --report recovery.html --evidence recovery.json"
)
def report(
    before_answers: Annotated[Path, typer.Option(help="Answers of the model before.")],
    after_answers: Annotated[Path, typer.Option(help="Answers of the quantized model.")],
    before_figures: Annotated[Path, typer.Option(help="What `measure` wrote before.")],
    after_figures: Annotated[Path, typer.Option(help="What `measure` wrote after.")],
    quantization: Annotated[Path, typer.Option(help="JSON: what the quantize step did.")],
    report: Annotated[Path, typer.Option(help="The HTML page.")],
    evidence: Annotated[Path, typer.Option(help="The figures as JSON, for the gates.")],
    before_benchmarks: Annotated[Path | None, typer.Option(help="Benchmarks before.")] = None,
    after_benchmarks: Annotated[Path | None, typer.Option(help="Benchmarks after.")] = None,
) -> None:
    """Compares a quantized model with what it was before, question by question."""
    benchmarks = [path for path in (before_benchmarks, after_benchmarks) if path]
    if len(benchmarks) == 1:
        raise BadInputError("Benchmarks are compared: give those before and after quantization.")
    inputs = RecoveryInputs(
        answers=(before_answers, after_answers),
        figures=(before_figures, after_figures),
        quantization=quantization,
        benchmarks=(benchmarks[0], benchmarks[1]) if benchmarks else None,
    )
    _print(write_recovery(inputs, report, evidence))
    print(f"Report: {report}")


def _print(found: Recovery) -> None:
    for one in found.metrics:
        kept = one.recovery
        shown = f"{kept.mean:.1%} ({kept.low:.1%} to {kept.high:.1%})" if kept else one.note
        print(f"{one.metric}: {one.before:.4f} -> {one.after:.4f}, recovery {shown}, n = {one.n}")
    for name, why in found.missing.items():
        print(f"{name}: not measured, {why}")
    print(f"{found.size:.2f} times smaller")
    if found.after.dequantized:
        print("It was served dequantized: its speed was not measured.")
    for speed in () if found.after.dequantized else found.speeds:
        before, after = speed.before.tokens_per_second, speed.after.tokens_per_second
        print(f"{speed.before.concurrency} in flight: {before:.0f} -> {after:.0f} tokens/s")


if __name__ == "__main__":
    run(app)
