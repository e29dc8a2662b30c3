"""What differs from place to place and from recipe to recipe, for one build pipeline."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from components.evaluate.contenders import ContenderSettings

Task = Any
"""A `kfp.dsl.PipelineTask`; kfp's own types are not exported."""


def _leave(*tasks: Task) -> None:
    """Changes nothing."""


@dataclass(frozen=True)
class Place:
    """What tasks need where the pipeline runs."""

    every: Callable[[Task], None] = field(default=_leave)
    """Applied to each task: caching, retries, timeouts."""
    store: Callable[[Task], None] = field(default=_leave)
    """Applied to tasks that speak to S3."""
    fetch: Callable[[Task], None] = field(default=_leave)
    """Applied to tasks that bring a base model, which alone may ask a model hub."""
    data: Callable[[Task], None] = field(default=_leave)
    """Applied to the task that prepares data: keys of outside models, a lasting work folder."""
    train: Callable[[Task], None] = field(default=_leave)
    """Applied to the tasks that train: GPUs, a place for checkpoints."""
    quantize: Callable[[Task], None] = field(default=_leave)
    """Applied to the task that quantizes: one GPU, memory for the whole model."""
    server: Callable[[Task], None] = field(default=_leave)
    """Applied to the tasks that start and remove a model server, and that upload what it serves."""
    outside: Callable[[Task], None] = field(default=_leave)
    """Applied to the tasks that ask models of others: their keys, a lasting work folder."""
    order: Callable[[Task, Task], None] = field(default=_leave)
    """Applied to the task that asks the baseline and the last one that starts a model server."""
    run: str = ""
    """The run's id, for the lineage of what it publishes."""
    gpus: str = ""
    """The pool that training is planned for, such as `4xA100-80GB`; empty where there is none."""

    def step(self, task: Task, *needs: Callable[[Task], None]) -> Task:
        """Gives a task what every task needs here, and what this one needs beside."""
        for need in (self.every, *needs):
            need(task)
        return task


@dataclass(frozen=True)
class Stages:
    """Which stages a recipe has beside SFT."""

    orpo: bool = False
    distill: bool = False
    student: bool = False
    """Distillation trains a base model of its own, not some layers of the teacher."""
    quantize: bool = False
    """The candidate is the trained model in fewer bits, compared with what it was before."""
    judge: Literal["none", "local", "outside"] = "none"
    """`local`: the base model, fine-tuned here on graded answers; `outside`: an endpoint."""
    benchmarks: bool = False
    """Benchmarks of the base model and of the candidate, for the regression guard."""
    contenders: tuple[ContenderSettings, ...] = ()
    """Beside the baseline and what is trained here."""

    @property
    def trained(self) -> str:
        """The last model that is trained and no student."""
        return "orpo" if self.orpo else "tuned"

    @property
    def candidate(self) -> str:
        """The model to release."""
        return "quantized" if self.quantize else self.trained

    @property
    def compared(self) -> tuple[str, ...]:
        """The models that benchmarks and the figures of recovery are for."""
        return (self.trained, "quantized") if self.quantize else (self.trained,)

    @property
    def temporary(self) -> tuple[str, ...]:
        """InferenceServices that a run has for a while only: what must go, whatever happens."""
        served = [server_name(each.name) for each in self.contenders if each.weights]
        names = {
            "base": self.benchmarks,
            "tuned": self.candidate != "tuned",
            "orpo": self.orpo and self.quantize,
            "distilled": self.distill,
            "judge": self.judge == "local",
        }
        return (*served, *(name for name, there in names.items() if there))


def server_name(contender: str) -> str:
    """Gives an InferenceService's name for a contender: Kubernetes allows no dots."""
    return contender.replace(".", "-")
