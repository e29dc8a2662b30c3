"""What passes between the process that waits and the one that runs lm-evaluation-harness."""

from pathlib import Path

from pydantic import Field

from components.core.llm import Endpoint, Frozen
from components.evaluate.benchmarks.settings import Benchmark

FAILURE = "failure.json"


class Job(Frozen):
    """What to run."""

    endpoint: Endpoint
    tokenizer: Path
    benchmarks: dict[str, Benchmark]
    documents: dict[str, Path]
    """By benchmark: JSON lines, for those whose documents are ours."""
    concurrency: int
    retries: int
    timeout_seconds: float
    max_length: int
    hub: bool
    """Whether data sets may be fetched."""


class Scores(Frozen):
    """What became of one benchmark."""

    version: str = ""
    scores: dict[str, float] = Field(default_factory=dict)
    seconds: float = 0.0
    skipped: str = ""


class Failure(Frozen):
    """An error that a person can mend, handed to the process that waits."""

    kind: str
    message: str
