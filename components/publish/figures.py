"""What a model card needs of the JSON that other steps wrote: their other keys are passed over."""

from collections import Counter
from typing import Any

from pydantic import BaseModel, ConfigDict

from components.core.stats import Interval


class Part(BaseModel):
    """A part of another step's JSON: frozen, and unknown keys are no error."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Opinions(Part):
    """What a judge thought of a contender, in points from 1 to 5."""

    judge: str
    rubric: str
    overall: Interval | None = None


class Measures(Part):
    """A contender's own figures: shares in [0, 1], seconds."""

    contender: str
    questions: int
    accuracy: Interval | None = None
    latency_p95: float | None = None
    within_limit: float | None = None
    geval: Opinions | None = None


class Comparison(Part):
    """A contender against the baseline."""

    difference: Interval
    verdict: str


class Standing(Part):
    """A line of the leaderboard."""

    measures: Measures
    facts: Comparison | None = None


class Gate(Part):
    """A condition of the release."""

    name: str
    why: str = ""


class Verdict(Part):
    """Whether it was met; figure and limit as the gate wrote them."""

    gate: Gate
    shown: str
    bound: str
    passed: bool


class Benchmark(Part):
    """An ability against the base model's, in points from 0 to 100."""

    benchmark: str
    n: int = 0
    base: float | None = None
    candidate: float | None = None
    difference: Interval | None = None


class Correlation(Part):
    """A rank correlation; None where there is none to take."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


class OverallAgreement(Part):
    """How a judge's scores follow known grades."""

    rows: int
    spearman: Correlation


class Agreement(Part):
    """How far a judge can be trusted."""

    judge: str
    overall: OverallAgreement


class Board(Part):
    """The leaderboard: JSON of `components.evaluate.leaderboard.Leaderboard`."""

    baseline: str
    candidate: str
    standings: tuple[Standing, ...]
    heldout_loss_base: float | None = None
    heldout_loss_tuned: float | None = None
    agreement: Agreement | None = None
    benchmarks: tuple[Benchmark, ...] = ()
    gates: tuple[Verdict, ...] = ()


class SourceRows(Part):
    """Rows of one source of the data."""

    name: str
    licence: str
    train: int
    test: int


class Rows(Part):
    """The data's two files."""

    train: int
    test: int
    sources: tuple[SourceRows, ...] = ()


class Leakage(Part):
    """Test questions that training shows."""

    questions: int
    offending: int


class Synthesis(Part):
    """A source that a model wrote."""

    source: str
    note: str = ""


class DataCard(Part):
    """The data card: JSON of `components.prepare.card.card_input.CardInput`."""

    name: str
    seed: int
    recipe: dict[str, Any] = {}
    dataset: Rows
    dialogues_masked: int = 0
    leakage: Leakage | None = None
    syntheses: tuple[Synthesis, ...] = ()

    @property
    def fictional(self) -> bool:
        """Whether the dialogues are about the built-in bank, which does not exist."""
        return not self.recipe.get("bank")


class Load(Part):
    """How fast a model wrote while so many requests were in flight."""

    concurrency: int
    output_tokens: int
    seconds: float

    @property
    def tokens_per_second(self) -> float:
        """Over all requests together."""
        return self.output_tokens / self.seconds


class Speed(Part):
    """Both models at one concurrency."""

    before: Load
    after: Load


class Recovered(Part):
    """One metric of quality before and after quantization."""

    metric: str
    n: int
    before: float
    after: float
    recovery: Interval | None = None
    note: str = ""


class Side(Part):
    """One of the two models."""

    machine: str = ""


class Scheme(Part):
    """Which number formats, and how they were found."""

    scheme: str
    algorithm: str


class Calibration(Part):
    """The rows that the quantization was tuned on."""

    rows: int
    tokens: int


class LeftAlone(Part):
    """A linear layer that keeps its precision."""

    layer: str
    why: str


class Quantization(Part):
    """How the weights were stored in fewer bits."""

    settings: Scheme
    calibration: Calibration | None = None
    quantized_layers: int
    left_alone: tuple[LeftAlone, ...] = ()
    bytes_before: dict[str, int]
    """By kind of tensor."""
    bytes_after: dict[str, int]

    @property
    def name(self) -> str:
        """For example `W4A16 by GPTQ`."""
        return f"{self.settings.scheme.upper()} by {self.settings.algorithm.upper()}"

    @property
    def megabytes(self) -> tuple[float, float]:
        """Of all weights before and after."""
        return sum(self.bytes_before.values()) / 1e6, sum(self.bytes_after.values()) / 1e6

    @property
    def reasons(self) -> dict[str, int]:
        """Counts the layers left alone by the reason."""
        return dict(Counter(each.why for each in self.left_alone))


class Recovery(Part):
    """What quantization kept: JSON of `components.evaluate.recovery.recovered.Recovery`."""

    metrics: tuple[Recovered, ...]
    missing: dict[str, str] = {}
    """Metrics that were not measured, each with the reason."""
    speeds: tuple[Speed, ...] = ()
    after: Side = Side()
    quantization: Quantization
