"""G-Eval from a shell: judge answers, probe the judge, have it write its evaluation steps."""

from pathlib import Path
from typing import Annotated

import typer

from components.core.command_line import run
from components.core.json_lines import read_jsonl
from components.core.llm import Endpoint
from components.core.recipes import load_recipe
from components.core.schemas import Answer
from components.core.stats import bootstrap_interval
from components.core.whole_files import write_text
from components.evaluate.judging.cached_judge import JudgeSettings
from components.evaluate.judging.judge_answers import judge_file
from components.evaluate.judging.probes import Shift
from components.evaluate.judging.probes import probe as probe_judge
from components.evaluate.judging.steps import write_steps as write_rubric

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)

Answers = Annotated[Path, typer.Option(help="JSON lines of Answer.")]
Url = Annotated[str, typer.Option("--endpoint", help="URL of the judge's API, with /v1.")]
Model = Annotated[str, typer.Option(help="The name under which the judge is served.")]
RubricName = Annotated[str | None, typer.Option(help="A file of rubrics/, or a path.")]
Limit = Annotated[int | None, typer.Option(min=0, help="Answers at most; 0 for all.")]
Recipe = Annotated[Path | None, typer.Option(help="YAML of JudgeSettings.")]
KeyVariable = Annotated[str, typer.Option(help="Variable that holds the key.")]


@app.command(
    epilog="Example: python -m components.evaluate.judging judge --answers tuned.jsonl "
    "--judged tuned_judged.jsonl --endpoint http://127.0.0.1:8000/v1 --model judge --limit 200"
)
def judge(
    answers: Answers,
    judged: Annotated[Path, typer.Option(help="The same rows, scored.")],
    endpoint: Url,
    model: Model,
    rubric: RubricName = None,
    limit: Limit = None,
    recipe: Recipe = None,
    api_key_env: KeyVariable = "",
) -> None:
    """Scores answers by a rubric; run it again to go on after an interruption."""
    where = Endpoint(base_url=endpoint, model=model, api_key_env=api_key_env)
    rows = judge_file(answers, judged, where, _settings(recipe, rubric, limit))
    scores = [row.judged for row in rows if row.judged]
    overall = [each.overall for each in scores if each.overall is not None]
    failed = sum(bool(each.failures) for each in scores)
    print(f"{len(scores)} answers judged, {failed} of them not by every criterion: {judged}")
    if overall:
        found = bootstrap_interval(overall)
        print(
            f"G-Eval {found.mean:.2f} of 5 (95% interval {found.low:.2f} to {found.high:.2f}), "
            f"judge {model}."
        )
    prompt, completion = (
        sum(each.prompt_tokens for each in scores),
        sum(each.completion_tokens for each in scores),
    )
    print(f"{prompt:,} tokens in prompts, {completion:,} in replies (kept replies counted too).")


@app.command(
    epilog="Example: python -m components.evaluate.judging probe --answers tuned.jsonl "
    "--endpoint http://127.0.0.1:8000/v1 --model judge --limit 50 --out probes.json"
)
def probe(
    answers: Answers,
    endpoint: Url,
    model: Model,
    out: Annotated[Path, typer.Option(help="The figures as JSON.")],
    rubric: RubricName = None,
    limit: Limit = None,
    recipe: Recipe = None,
    api_key_env: KeyVariable = "",
) -> None:
    """Tells how far the judge goes by a text's place in the prompt, and by an answer's length."""
    where = Endpoint(base_url=endpoint, model=model, api_key_env=api_key_env)
    rows = read_jsonl(answers, Answer)
    found = probe_judge(rows, where, _settings(recipe, rubric, limit), out)
    write_text(out, found.model_dump_json(indent=2) + "\n")
    for title, shifts in (("answer first", found.position), ("padded", found.verbosity)):
        print(f"{title}, points of 1 to 5 against the plain prompt:")
        for name, shift in shifts.items():
            print(f"  {name:<14}{_told(shift)}")
    if found.length_spearman is not None:
        print(
            f"Score and length, facts being equal: Spearman {found.length_spearman:.2f} over "
            f"{found.length_answers} answers."
        )


@app.command(
    epilog="Example: python -m components.evaluate.judging write-steps --endpoint "
    "http://127.0.0.1:8000/v1 --model gpt --rubric bank_answer.v1 --out bank_answer.v2.yaml"
)
def write_steps(
    endpoint: Url,
    model: Model,
    out: Annotated[Path, typer.Option(help="The new version, such as bank_answer.v2.yaml.")],
    rubric: Annotated[str, typer.Option(help="The rubric to start from.")] = "bank_answer.v1",
    api_key_env: KeyVariable = "",
) -> None:
    """Has a judge write the evaluation steps of each criterion, once, and pins them in a file."""
    where = Endpoint(base_url=endpoint, model=model, api_key_env=api_key_env)
    written = write_rubric(where, rubric, out)
    steps = sum(len(criterion.steps) for criterion in written.criteria)
    print(f"{steps} steps of {len(written.criteria)} criteria by {model} are in {out}; read them.")


def _settings(recipe: Path | None, rubric: str | None, limit: int | None) -> JudgeSettings:
    """The recipe's settings, with what the command line says over them."""
    settings = load_recipe(recipe, JudgeSettings) if recipe else JudgeSettings()
    named = {"rubric": rubric, "answers": limit}
    given = {name: value for name, value in named.items() if value is not None}
    return settings.model_copy(update=given)


def _told(shift: Shift) -> str:
    mean, absolute = shift.mean_difference, shift.mean_absolute_difference
    rank = "no spread" if shift.spearman is None else f"Spearman {shift.spearman:.2f}"
    return (
        f"{mean.mean:+.2f} ({mean.low:+.2f} to {mean.high:+.2f}), absolute {absolute.mean:.2f} "
        f"({absolute.low:.2f} to {absolute.high:.2f}), {rank}, {shift.answers} answers"
    )


if __name__ == "__main__":
    run(app)
