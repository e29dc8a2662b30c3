"""What a run of benchmarks gives."""

from pathlib import Path

from pydantic import ValidationError

from components.core.errors import BadInputError
from components.core.llm import Frozen
from components.core.stats import Interval
from components.evaluate.benchmarks.settings import Ability


class TaskResult(Frozen):
    """One benchmark's figures."""

    benchmark: str
    ability: Ability
    metric: str
    version: str
    """Of the tasks, as their files say."""
    fingerprint: str
    """Of all that decides the scores beside the model: recipe, task files, documents, settings."""
    n: int
    value: Interval | None
    """Mean score with its 95% bootstrap interval over documents; None when skipped."""
    seconds: float
    """What the run took that asked; a kept result keeps them."""
    scores: dict[str, float]
    """By document, in [0, 1]: two models are compared document by document."""
    skipped: str = ""
    """Why it was not run, and how to make it run; empty when it was."""


class BenchmarkResults(Frozen):
    """A model's figures over all benchmarks of a run."""

    model: str
    """The name it is served by."""
    weights: str
    """What stands behind the name, as far as the endpoint or the caller says."""
    harness: str
    """Version of lm-evaluation-harness."""
    tasks: tuple[TaskResult, ...]


def flat(results: BenchmarkResults) -> dict[str, float]:
    """Lists the figures under flat names, as KFP's `dsl.Metrics` wants them.

    Args:
        results: Of one model.

    Returns:
        `benchmark_<name>` in [0, 1], its interval's ends, and how many documents; skipped
        benchmarks are counted in `benchmarks_skipped`.
    """
    figures: dict[str, float] = {}
    for task in results.tasks:
        if task.value is not None:
            name = f"benchmark_{task.benchmark}"
            figures[name] = task.value.mean
            figures[f"{name}_low"] = task.value.low
            figures[f"{name}_high"] = task.value.high
            figures[f"{name}_documents"] = task.n
    return figures | {"benchmarks_skipped": sum(bool(task.skipped) for task in results.tasks)}


def read_results(path: Path) -> BenchmarkResults:
    """Reads the results of a model.

    Args:
        path: JSON, as `run_benchmarks` writes it.

    Returns:
        The results.

    Raises:
        BadInputError: The file cannot be read or holds something else.
    """
    try:
        return BenchmarkResults.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise BadInputError(
            f"{path} holds no benchmark results ({where}: {first['msg']}); name a file that "
            "`python -m components.evaluate.benchmarks run` wrote."
        ) from error
