"""Our G-Eval beside deepeval's on the same answers, with the same model behind both.

`python -m components.evaluate.judging.compare_deepeval --answers judged.jsonl --endpoint URL
--model NAME` prints, by criterion, how far the two implementations agree. deepeval gets our prompt,
so that the difference is what the two make of one reply: ours weighs the tokens 1..5, with white
space around them or not; deepeval weighs every token of digits alone that has a probability of 1%
or more. With `--own-template` deepeval asks in its own English words, for a judge that knows them.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from components.core.command_line import run
from components.core.errors import BadInputError
from components.core.geval import Case
from components.core.json_lines import read_jsonl, write_jsonl
from components.core.llm import Endpoint, Frozen
from components.core.schemas import Answer
from components.evaluate.judging.cached_judge import JudgeSettings, judge_cases
from components.evaluate.judging.correlation import spearman
from components.evaluate.judging.judge_answers import cases_with_text
from components.evaluate.judging.rubric import Rubric, criterion_prompt, read_rubric

SCRIPT = Path(__file__).with_name("deepeval_scores.py")
ENVIRONMENT = Path(".venv-deepeval")
REQUIREMENTS = "images/deepeval/requirements.txt"
QUIET = {
    "DEEPEVAL_TELEMETRY_OPT_OUT": "YES",
    "DEEPEVAL_DISABLE_DOTENV": "1",
    "DEEPEVAL_DISABLE_LEGACY_KEYFILE": "1",
    "DEEPEVAL_DISABLE_TIMEOUTS": "1",
    "DEEPEVAL_FILE_SYSTEM": "READ_ONLY",
    "DO_NOT_TRACK": "1",
}
"""No telemetry, no settings of somebody's `.env`, no files."""
REASONED_TOKENS = 512
"""deepeval's own template has the judge write a reason before the score."""
LARGEST = 3
"""How many of the largest differences of a criterion are shown."""

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


class Difference(Frozen):
    """One answer on which the two disagree."""

    dialogue_id: str
    ours: float
    deepeval: float


class Agreement(Frozen):
    """How far the two agree on one criterion."""

    criterion: str
    answers: int
    """That both scored."""
    spearman: float | None
    """None when one side does not vary."""
    mean_absolute_difference: float
    """In points of 1 to 5."""
    largest: tuple[Difference, ...]
    unscored_by_us: int
    unscored_by_deepeval: int


def compare(
    answers: Sequence[Answer],
    endpoint: Endpoint,
    settings: JudgeSettings,
    beside: Path,
    environment: Path = ENVIRONMENT,
    own_template: bool = False,
) -> list[Agreement]:
    """Judges the same answers with both implementations.

    Args:
        answers: Of one contender; those without a text are left out.
        endpoint: The judge of both.
        settings: The rubric, how many answers, how to ask.
        beside: An output, beside which our judge's replies are kept; deepeval's are not.
        environment: deepeval's virtual environment.
        own_template: Whether deepeval asks in its own words, with the rubric's steps.

    Returns:
        The agreement by criterion.

    Raises:
        BadInputError: There is no such environment, no answer with a text, deepeval did not run,
            or nothing was scored by both.
        EndpointError: The judge is away.
    """
    python = environment / "bin" / "python"
    if not python.exists():
        raise BadInputError(
            f"There is no environment of deepeval in {environment}; make it with `uv venv "
            f"{environment} && uv pip install --python {python} --no-deps --require-hashes -r "
            f"{REQUIREMENTS}`."
        )
    rows, cases = cases_with_text(answers, settings)
    rubric = read_rubric(settings.rubric)
    ours = judge_cases(cases, endpoint, settings, beside, progress="Finist")
    work = _work(rubric, cases, endpoint, settings, own_template)
    theirs = iter(_run_deepeval(python, work, endpoint))
    by_row = [{criterion.id: next(theirs) for criterion in rubric.criteria} for _ in rows]
    return [
        _agreement(
            criterion.id,
            [row.dialogue_id for row in rows],
            [each[criterion.id].score for each in ours],
            [each[criterion.id] for each in by_row],
        )
        for criterion in rubric.criteria
    ]


def _work(
    rubric: Rubric,
    cases: Sequence[Case],
    endpoint: Endpoint,
    settings: JudgeSettings,
    own_template: bool,
) -> dict[str, Any]:
    """What the script reads: the endpoint, how to ask, and each criterion of each case."""
    items = [
        {
            **case.model_dump(include={"question", "answer", "reference"}),
            "criterion": criterion.name,
            "definition": criterion.definition,
            "steps": criterion.steps,
            "prompt": criterion_prompt(rubric, criterion, case),
        }
        for case in cases
        for criterion in rubric.criteria
    ]
    return {
        **endpoint.model_dump(),
        "retries": settings.retries,
        "concurrency": settings.concurrency,
        "max_tokens": REASONED_TOKENS if own_template else settings.max_tokens,
        "own_template": own_template,
        "items": items,
    }


def _run_deepeval(python: Path, work: dict[str, Any], endpoint: Endpoint) -> list[float | None]:
    """Runs the script in an empty folder and an environment that holds no keys but the judge's."""
    kept = {"PATH", "LANG", "SSL_CERT_FILE", "HTTPS_PROXY", endpoint.api_key_env}
    variables = {name: value for name, value in os.environ.items() if name in kept} | QUIET
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "work.json"), Path(folder, "scores.json")
        source.write_text(json.dumps(work, ensure_ascii=False), encoding="utf-8")
        command = [python.absolute(), SCRIPT, source, target]
        ended = subprocess.run(
            command,
            cwd=folder,
            env=variables | {"HOME": folder},
            stdout=subprocess.DEVNULL,  # deepeval greets there
            check=False,
        )
        if ended.returncode != 0:
            raise BadInputError(
                f"deepeval left with code {ended.returncode}; its own words stand above. Make its "
                f"environment anew from {REQUIREMENTS} if they speak of a missing package."
            )
        found = json.loads(target.read_text(encoding="utf-8"))
    for failure in sorted({each["failure"] for each in found} - {""}):
        typer.echo(f"deepeval: {failure}", err=True)
    return [each["score"] for each in found]


def _agreement(
    criterion: str,
    ids: Sequence[str],
    ours: Sequence[float | None],
    theirs: Sequence[float | None],
) -> Agreement:
    pairs = [
        Difference(dialogue_id=name, ours=left, deepeval=right)
        for name, left, right in zip(ids, ours, theirs, strict=True)
        if left is not None and right is not None
    ]
    if not pairs:
        raise BadInputError(
            f"No answer was scored by both on {criterion}; look at the judge's replies with "
            "`python -m components.evaluate.judging judge` first."
        )
    ordered = sorted(pairs, key=_distance, reverse=True)
    return Agreement(
        criterion=criterion,
        answers=len(pairs),
        spearman=spearman([pair.ours for pair in pairs], [pair.deepeval for pair in pairs]),
        mean_absolute_difference=sum(map(_distance, pairs)) / len(pairs),
        largest=tuple(ordered[:LARGEST]),
        unscored_by_us=sum(score is None for score in ours),
        unscored_by_deepeval=sum(score is None for score in theirs),
    )


def _distance(pair: Difference) -> float:
    return abs(pair.ours - pair.deepeval)


def table(agreements: Sequence[Agreement]) -> str:
    """Writes the agreement as a table of text, the largest differences below."""
    head = f"{'criterion':<14}{'answers':>8}{'Spearman':>10}{'mean |d|':>10}{'largest':>9}"
    lines = [
        f"{each.criterion:<14}{each.answers:>8}"
        f"{'no spread' if each.spearman is None else format(each.spearman, '.3f'):>10}"
        f"{each.mean_absolute_difference:>10.3f}{_distance(each.largest[0]):>9.3f}"
        for each in agreements
    ]
    worst = [
        f"{each.criterion}: {pair.dialogue_id}: ours {pair.ours:.2f}, deepeval {pair.deepeval:.2f}"
        for each in agreements
        for pair in each.largest
    ]
    return "\n".join([head, *lines, "", "Largest differences:", *worst])


@app.command()
def main(  # noqa: PLR0913
    answers: Annotated[Path, typer.Option(help="JSON lines of Answer.")],
    endpoint: Annotated[str, typer.Option(help="URL of the judge's API, with /v1.")],
    model: Annotated[str, typer.Option(help="The name under which the judge is served.")],
    rubric: Annotated[str, typer.Option(help="A file of rubrics/, or a path.")] = "bank_answer.v1",
    limit: Annotated[int, typer.Option(min=0, help="Answers at most; 0 for all.")] = 50,
    own_template: Annotated[bool, typer.Option(help="deepeval asks in its own words.")] = False,
    api_key_env: Annotated[str, typer.Option(help="Variable that holds the key.")] = "",
    environment: Annotated[
        Path, typer.Option(envvar="FINIST_DEEPEVAL", help="deepeval's environment.")
    ] = ENVIRONMENT,
    out: Annotated[Path | None, typer.Option(help="The agreement, JSON lines.")] = None,
) -> None:
    """Prints how far our G-Eval and deepeval's agree on the same answers.

    Example: `python -m components.evaluate.judging.compare_deepeval --answers judged.jsonl
    --endpoint http://127.0.0.1:8000/v1 --model judge --rubric bank_answer_short.v1`
    """
    judge = Endpoint(base_url=endpoint, model=model, api_key_env=api_key_env)
    settings = JudgeSettings(rubric=rubric, answers=limit)
    found = compare(
        read_jsonl(answers, Answer), judge, settings, out or answers, environment, own_template
    )
    typer.echo(table(found))
    if out:
        write_jsonl(out, found)


if __name__ == "__main__":
    run(app)
