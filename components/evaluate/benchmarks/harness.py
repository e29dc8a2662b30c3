"""Benchmarks of a served model, by lm-evaluation-harness; what was measured once is kept."""

import asyncio
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from components.core import errors
from components.core.errors import BadInputError, MissingModelError
from components.core.json_lines import write_jsonl
from components.core.llm import Endpoint, served_model
from components.core.stats import bootstrap_interval
from components.core.whole_files import write_text
from components.evaluate.benchmarks.finance_tasks import (
    choice_documents,
    facts_documents,
    read_dialogues,
)
from components.evaluate.benchmarks.job import FAILURE, Failure, Job, Scores
from components.evaluate.benchmarks.results import BenchmarkResults, TaskResult
from components.evaluate.benchmarks.settings import (
    TASKS,
    Benchmark,
    BenchmarkSettings,
    load_benchmarks,
)
from components.evaluate.benchmarks.worker import harness_version

WORKER = "components.evaluate.benchmarks.worker"
GENERAL = TASKS / "finist_general.v1.jsonl"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")


def run_benchmarks(
    endpoint: Endpoint,
    tokenizer: Path,
    settings: BenchmarkSettings,
    out: Path,
    test: Path | None = None,
    weights: str = "",
) -> BenchmarkResults:
    """Measures a served model.

    Results are kept in `$FINIST_HOME/cache/benchmarks`, or else beside `out`, by the model and by
    all that decides a score, so that a re-run asks only what is new, and a run that was
    interrupted goes on where it stopped. Nothing is asked of the hub unless the settings allow it.

    Args:
        endpoint: Where the model is served.
        tokenizer: The folder of the model's tokenizer and chat template.
        settings: Which benchmarks, and how.
        out: Where the results go, JSON, written whole or not at all.
        test: JSON lines of `Dialogue` that the bank's questions are made from; None for those of
            the built-in bank.
        weights: Address of the weights that are served, which tells two models at one endpoint
            apart; empty for what the endpoint says.

    Returns:
        Figures of each benchmark, skipped ones with the reason.

    Raises:
        EndpointError: The endpoint is away, lacks the model or cannot weigh texts.
        BadInputError: A recipe, a task file, the test file or a task's name cannot be used.
        MissingModelError: There is no tokenizer in the folder.
        MissingSecretError: The key's variable is empty.
    """
    benchmarks = load_benchmarks(settings)
    for path in (path for benchmark in benchmarks.values() for path in benchmark.paths):
        _check_task_file(path)
    served = asyncio.run(served_model(endpoint))
    # Without a name for the weights, two servers may mean different ones by one name.
    folder = _folder(out, weights or f"{endpoint.base_url} {endpoint.model} {served}", settings)
    documents = _write_documents(benchmarks, settings, test, folder / "documents")
    prints = {name: _fingerprint(b, documents.get(name)) for name, b in benchmarks.items()}
    kept = {name: folder / f"{name}-{mark}.json" for name, mark in prints.items()}
    missing = {name: benchmarks[name] for name, path in kept.items() if not path.exists()}
    job = _job(endpoint, tokenizer, settings, documents)
    scores = _measure(missing, job, folder / "unfinished") if missing else {}
    measured = {n: _result(n, benchmarks[n], prints[n], found) for n, found in scores.items()}
    for name, result in measured.items():
        if not result.skipped:
            write_text(kept[name], result.model_dump_json())
    tasks = [measured.get(name) or _kept(path) for name, path in kept.items()]
    results = BenchmarkResults(
        model=endpoint.model,
        weights=weights or served,
        harness=harness_version(),
        tasks=tuple(tasks),
    )
    write_text(out, results.model_dump_json(indent=1))
    return results


def _folder(out: Path, served: str, settings: BenchmarkSettings) -> Path:
    """The folder of what is kept about one model."""
    home = os.environ.get("FINIST_HOME")
    place = Path(home, "cache", "benchmarks") if home else out.parent / "benchmarks-cache"
    return place.absolute() / _digest(served, str(settings.max_length))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _fingerprint(benchmark: Benchmark, documents: Path | None) -> str:
    """Names all that decides a score beside the model; a mirrored data set counts by its path."""
    files = [*benchmark.paths, *([documents] if documents else [])]
    contents = [path.read_text(encoding="utf-8") for path in files]
    return _digest(harness_version(), benchmark.model_dump_json(), *contents)


def _check_task_file(path: Path) -> None:
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise BadInputError(f"The task file {path} cannot be read: {reason}.") from error
    keys = [key.value for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []
    if "task" not in keys:
        raise BadInputError(
            f"The task file {path} names no `task`, which lm-evaluation-harness needs; add it."
        )


def _write_documents(
    benchmarks: dict[str, Benchmark],
    settings: BenchmarkSettings,
    test: Path | None,
    folder: Path,
) -> dict[str, Path]:
    """Writes the documents of the benchmarks whose documents are ours; gives the files."""
    kinds = {name: benchmark.documents for name, benchmark in benchmarks.items()}
    of_bank = {"bank_choice", "bank_facts"} & set(kinds.values())
    dialogues = read_dialogues(test) if of_bank else []
    asked = (settings.subset, settings.questions)
    files: dict[str, Path] = {}
    for name, kind in kinds.items():
        files[name] = folder / f"{name}.jsonl"
        if kind == "bank_choice":
            write_jsonl(files[name], choice_documents(dialogues, *asked, settings.seed))
        elif kind == "bank_facts":
            write_jsonl(files[name], facts_documents(dialogues, *asked))
        elif kind == "general":
            files[name] = GENERAL
        else:
            del files[name]
    return files


def _job(
    endpoint: Endpoint, tokenizer: Path, settings: BenchmarkSettings, documents: dict[str, Path]
) -> Job:
    """Makes the job without its benchmarks."""
    return Job(
        endpoint=endpoint,
        tokenizer=tokenizer.absolute(),
        benchmarks={},
        documents=documents,
        **settings.model_dump(include={"concurrency", "retries", "timeout_seconds", "max_length"}),
        hub=settings.hub,
    )


def _measure(benchmarks: dict[str, Benchmark], job: Job, work: Path) -> dict[str, Scores]:
    """Runs benchmarks; the folder holds what came of a run that was interrupted, and goes."""
    _check_tokenizer(job.tokenizer)
    work.mkdir(parents=True, exist_ok=True)
    todo = job.model_copy(update={"benchmarks": benchmarks})
    write_text(work / "job.json", todo.model_dump_json())
    _run_worker(work, job.hub)
    paths = {name: work / f"{name}.json" for name in benchmarks}
    scores = {name: Scores.model_validate_json(path.read_bytes()) for name, path in paths.items()}
    shutil.rmtree(work)
    return scores


def _result(name: str, benchmark: Benchmark, fingerprint: str, scores: Scores) -> TaskResult:
    values = list(scores.scores.values())
    return TaskResult(
        benchmark=name,
        ability=benchmark.ability,
        metric=benchmark.metric,
        version=scores.version,
        fingerprint=fingerprint,
        n=len(values),
        value=bootstrap_interval(values) if values else None,
        seconds=scores.seconds,
        scores=scores.scores,
        skipped=scores.skipped,
    )


def _kept(path: Path) -> TaskResult:
    return TaskResult.model_validate_json(path.read_bytes())


def _check_tokenizer(folder: Path) -> None:
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise MissingModelError(
            f"There is no tokenizer in {folder} (none of {', '.join(TOKENIZER_FILES)}); name the "
            "folder of the model that is served, or of the base model it was trained from."
        )


def _run_worker(work: Path, hub: bool) -> None:
    """Runs the harness in its own process, which shows its progress on this one's stderr."""
    failure = work / FAILURE
    failure.unlink(missing_ok=True)
    command = [sys.executable, "-m", WORKER, str(work / "job.json"), str(work)]
    code = subprocess.run(command, env=_environment(work, hub), check=False).returncode
    if failure.exists():
        told = Failure.model_validate_json(failure.read_bytes())
        raise getattr(errors, told.kind)(told.message)
    if code:
        raise RuntimeError(f"{WORKER} left with {code}; see above, and {work}/harness.log")


def _environment(work: Path, hub: bool) -> dict[str, str]:
    """Nothing is sent to anybody, and the hub is asked only where it was allowed."""
    offline = "0" if hub else "1"
    return os.environ | {
        "HF_HUB_OFFLINE": offline,
        "HF_DATASETS_OFFLINE": offline,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "HF_DATASETS_CACHE": str(work.parent.parent / "datasets"),
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "TOKENIZERS_PARALLELISM": "false",
        "TQDM_DISABLE": "1",  # the harness's own bars; the client shows one
    }
