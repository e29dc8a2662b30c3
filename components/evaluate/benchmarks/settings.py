"""What a benchmark is, and how a run measures."""

from pathlib import Path
from typing import Literal, Self, TypeAlias

from pydantic import Field, PositiveInt, model_validator

from components.core.errors import RecipeError
from components.core.llm import Frozen
from components.core.recipes import load_recipe
from components.prepare.subset import Subset

FOLDER = Path(__file__).parent
RECIPES = FOLDER / "recipes"
TASKS = FOLDER / "tasks"

Ability: TypeAlias = Literal["finance", "general"]
"""`finance` is what training is to raise; `general` is what it must not lower."""


class Benchmark(Frozen):
    """One benchmark: tasks of lm-evaluation-harness whose documents are scored together."""

    ability: Ability
    metric: str
    """The per-document score to keep, by the task's own name for it, for example `acc`."""
    task_files: tuple[Path, ...] = ()
    """Task files of ours; a relative path lies in `tasks/`."""
    harness_folder: str = ""
    """Where the harness keeps `harness_tasks`, below its own `tasks/`: reading all takes long."""
    harness_tasks: tuple[str, ...] = ()
    documents: Literal["bank_choice", "bank_facts", "general"] | None = None
    """Which documents of ours a run puts in; None when `dataset` has them."""
    dataset: str = ""
    """The data set's id on the Hugging Face hub, or a folder that mirrors it."""
    chat_template: bool = True
    """Whether the question is sent as a chat turn, as customers' are."""
    shots: int = Field(default=0, ge=0)
    documents_per_task: PositiveInt | None = None
    """The first so many of each task; None for all."""

    @model_validator(mode="after")
    def _has_tasks_and_documents(self) -> Self:
        if bool(self.task_files) == bool(self.harness_tasks):
            raise ValueError("name either `task_files` or `harness_tasks`")
        if bool(self.documents) == bool(self.dataset):
            raise ValueError("name either `documents` or `dataset`")
        return self

    @property
    def paths(self) -> tuple[Path, ...]:
        """The task files, absolute."""
        return tuple((TASKS / path).absolute() for path in self.task_files)


class BenchmarkSettings(Frozen):
    """Which benchmarks to run, and how."""

    benchmarks: tuple[str, ...] = Field(
        default=("bank_choice", "bank_facts", "general"), min_length=1
    )
    """Names of `recipes/`, or paths of recipes of your own (`*.yaml`)."""
    questions: PositiveInt = 48
    """Of each benchmark about the bank, balanced over products and intents."""
    subset: Subset = Subset()
    """Which of the bank's products and intents; None in it for all."""
    seed: int = 0
    """Decides the wrong options and their places."""
    data: dict[str, Path] = Field(default_factory=dict)
    """By benchmark: the folder that mirrors its data set, as in `{mmlu_finance: /data/mmlu}`."""
    hub: bool = False
    """Whether data sets may be fetched from the hub; a bank's network has none."""
    concurrency: PositiveInt = 8
    """Requests in flight."""
    retries: int = Field(default=4, ge=0)
    """Further tries of a request that failed; waits 1, 1, 2, 4, 8, 10 ... seconds."""
    timeout_seconds: float = Field(default=240.0, gt=0)
    """For one request."""
    max_length: int = Field(default=2048, ge=16)
    """Tokens of prompt and answer that the model takes; a longer prompt loses its beginning."""


def load_benchmarks(settings: BenchmarkSettings) -> dict[str, Benchmark]:
    """Reads the recipes that the settings name.

    Args:
        settings: Names or paths, and the folders that mirror data sets.

    Returns:
        The benchmarks by name, in the settings' order, each with the data set it is to read.

    Raises:
        RecipeError: There is no such recipe, it cannot be used, or `data` names a benchmark that
            is not run or needs no data set.
    """
    paths = [_path(name) for name in settings.benchmarks]
    found = {path.stem: load_recipe(path, Benchmark) for path in paths}
    for name, folder in settings.data.items():
        if name not in found or not found[name].dataset:
            wanted = (
                ", ".join(n for n, b in found.items() if b.dataset) or "none of those asked for"
            )
            raise RecipeError(
                f"`data` names {name!r}, which reads no data set in this run; who does: {wanted}."
            )
        found[name] = found[name].model_copy(update={"dataset": str(folder.absolute())})
    return found


def _path(name: str) -> Path:
    return Path(name) if name.endswith(".yaml") else RECIPES / f"{name}.yaml"
