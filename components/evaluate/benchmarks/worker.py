"""Runs lm-evaluation-harness in a process of its own: `python -m ...worker job.json folder`.

Apart, because the harness seeds the global random numbers, configures logging, reads its switches
from the environment when it is imported, and runs its own event loop. `evaluate` is called rather
than `simple_evaluate`, which lists the machine's packages and repositories into its results.
"""

import logging
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2
import yaml

from components.core.errors import BadInputError, FinistError
from components.core.whole_files import write_text
from components.evaluate.benchmarks.job import FAILURE, Failure, Job, Scores
from components.evaluate.benchmarks.settings import Benchmark

UNREADABLE = (
    *(AttributeError, ImportError, KeyError, TypeError, ValueError, OSError),
    *(jinja2.TemplateError, yaml.YAMLError),
)
"""What the harness raises over a task file or a data set; it has no errors of its own."""


def harness_version() -> str:
    """Gives the version of lm-evaluation-harness that is installed."""
    return version("lm-eval")


def main(job_file: Path, folder: Path) -> int:
    """Runs a job; each benchmark's `Scores` appear in `<folder>/<name>.json` when it is done.

    Args:
        job_file: A `Job` as JSON.
        folder: Where the results go, the log, and the answers of a run that was interrupted.

    Returns:
        The exit code: 0, or 2 with a `Failure` in the folder.
    """
    logging.basicConfig(filename=folder / "harness.log", level=logging.WARNING, force=True)
    try:
        job = Job.model_validate_json(job_file.read_bytes())
        for name in job.benchmarks:
            scores = run_benchmark(job, name, folder)
            write_text(folder / f"{name}.json", scores.model_dump_json())
    except FinistError as error:
        failure = Failure(kind=type(error).__name__, message=str(error))
        write_text(folder / FAILURE, failure.model_dump_json())
        return error.exit_code
    return 0


def run_benchmark(job: Job, name: str, folder: Path) -> Scores:
    """Runs one benchmark.

    Args:
        job: The whole job.
        name: Which benchmark of it.
        folder: Holds the answers that came, so that an interrupted run goes on.

    Returns:
        Its scores by document, or why it was skipped.

    Raises:
        EndpointError: The endpoint is away or gives no log-probabilities.
        BadInputError: A task file or a task's name cannot be used.
    """
    benchmark = job.benchmarks[name]
    try:
        tasks = _tasks(benchmark, job.documents.get(name), folder / "tasks" / name)
    except UNREADABLE as error:
        if not benchmark.dataset:
            files = ", ".join(map(str, benchmark.paths))
            raise BadInputError(
                f"The task file {files} cannot be used: {_brief(error)}; mend it."
            ) from error
        return Scores(skipped=_unreachable(name, benchmark, error))
    started = time.perf_counter()
    scores: dict[str, float] = {}
    for task_name, task in tasks.items():
        scores |= _evaluated(job, benchmark, name, task_name, task, folder)
    versions = sorted({str(task.VERSION) for task in tasks.values()})
    seconds = time.perf_counter() - started
    return Scores(version=", ".join(versions), scores=scores, seconds=seconds)


def _unreachable(name: str, benchmark: Benchmark, error: Exception) -> str:
    return (
        f"not reachable: the data set {benchmark.dataset} ({_brief(error)}); mirror it where there "
        f"is a network (`hf download --repo-type dataset <id> --local-dir DIR`) and name the "
        f"folder: `data: {{{name}: DIR}}`, or allow the hub: `hub: true`"
    )


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _tasks(benchmark: Benchmark, documents: Path | None, folder: Path) -> dict[str, Any]:
    """Loads the tasks through files that include the given ones and say what differs here."""
    from lm_eval.tasks import TaskManager  # type: ignore[import-untyped]

    changes: dict[str, Any] = {"num_fewshot": benchmark.shots}
    if documents:
        changes["dataset_kwargs"] = {"data_files": {"test": str(documents)}}
    else:
        changes["dataset_path"] = benchmark.dataset
    files = []
    for path in benchmark.paths or _harness_files(benchmark):
        derived = folder / path.name
        write_text(derived, yaml.safe_dump({"include": str(path), **changes}))
        files.append(str(derived))
    loaded: dict[str, Any] = TaskManager(include_defaults=False).load(files)["tasks"]
    return loaded


def _harness_files(benchmark: Benchmark) -> list[Path]:
    """Finds the harness's own task files by the tasks' names."""
    import lm_eval.tasks  # type: ignore[import-untyped]

    place = Path(lm_eval.tasks.__file__).parent / benchmark.harness_folder
    index = lm_eval.tasks.TaskManager(include_defaults=False, include_path=place).task_index
    unknown = [name for name in benchmark.harness_tasks if name not in index]
    if unknown:
        known = ", ".join(sorted(index)[:12]) or "none"
        raise BadInputError(
            f"lm-evaluation-harness {harness_version()} has no task {unknown[0]!r} in its folder "
            f"{benchmark.harness_folder!r}; the first it has there: {known}."
        )
    return [Path(index[name].yaml_path) for name in benchmark.harness_tasks]


def _evaluated(
    job: Job, benchmark: Benchmark, name: str, task_name: str, task: Any, folder: Path
) -> dict[str, float]:
    """Asks the endpoint and gives the scores by document."""
    from lm_eval.api.model import CachingLM  # type: ignore[import-untyped]
    from lm_eval.evaluator import evaluate  # type: ignore[import-untyped]

    from components.evaluate.benchmarks.served_model import served_language_model

    model = CachingLM(
        served_language_model(job, benchmark, task.OUTPUT_TYPE, progress=f"{name} {task_name}"),
        str(folder / "answers.sqlite"),
    )
    try:
        found: Any = evaluate(
            lm=model,
            task_dict={"tasks": {task_name: task}},
            limit=benchmark.documents_per_task,
            bootstrap_iters=0,
            apply_chat_template=benchmark.chat_template,
            fewshot_as_multiturn=benchmark.chat_template,
        )
    finally:
        model.dbdict.close()
    return dict(_score(benchmark, task_name, row) for row in found["samples"][task_name])


def _score(benchmark: Benchmark, task_name: str, row: dict[str, Any]) -> tuple[str, float]:
    if benchmark.metric not in row:
        raise BadInputError(
            f"The task {task_name} gives no metric {benchmark.metric!r}; it gives: "
            f"{', '.join(row['metrics'])}: mend `metric` in the recipe."
        )
    return f"{task_name}/{row['doc'].get('id', row['doc_id'])}", float(row[benchmark.metric])


def _import_tokenizers() -> None:
    """Imports transformers as in the image, which has no torch: importing that takes long."""
    sys.modules["torch"] = None  # type: ignore[assignment]
    from transformers import AutoTokenizer  # noqa: F401

    del sys.modules["torch"]


if __name__ == "__main__":
    _import_tokenizers()
    try:
        code = main(Path(sys.argv[1]), Path(sys.argv[2]))
    except KeyboardInterrupt:  # the process that waits says what is to be said
        code = 130
    sys.exit(code)
