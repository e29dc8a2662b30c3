"""All that a data card says, as frozen values: the page shows it, the JSON file is it.

A part that is None was not run, and the page says so; an empty count was run and found nothing.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from components.core.schemas import Dialogue


class Part(BaseModel):
    """A frozen part of the card; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SplitRows(Part):
    """How many rows of one thing stand in each split."""

    name: str
    title: str = ""
    """In the bank's language; empty when the name is all there is."""
    train: int
    test: int

    @property
    def total(self) -> int:
        """Rows of both splits."""
        return self.train + self.test


class SourceRows(SplitRows):
    """Rows of one source under one licence; `name` is `Dialogue.source`."""

    licence: str
    provenance: str
    """Of the source's first row: where it came from."""


class Histogram(Part):
    """Counts in bins of equal width; bin i holds [first + i width, first + (i + 1) width)."""

    first: float
    width: float
    counts: tuple[int, ...]
    open_end: bool = False
    """The last bin also holds everything above it."""


class Lengths(Part):
    """How long texts are, in characters."""

    mean: float
    median: int
    p95: int
    longest: int
    histogram: Histogram


class Dataset(Part):
    """What stands in the two files that training and evaluation get."""

    train: int
    test: int
    sources: tuple[SourceRows, ...]
    intents: tuple[SplitRows, ...]
    """Rows that name none (open data, often) are not counted here."""
    products: tuple[SplitRows, ...]
    """Products that are asked about, by id; rows that name none are not counted here."""
    families: SplitRows
    """Distinct phrasing families in each split."""
    shared_families: int
    """Families that stand in both splits: 0 unless the files were given their splits by hand."""
    languages: dict[str, int]
    multi_turn: int
    """Rows with more than one question."""
    with_facts: int
    """Rows that list the facts their answer must contain."""
    questions: Lengths
    answers: Lengths
    judged: Histogram | None
    """Judge's scores of the rows kept; None when no row carries one."""
    examples: tuple[Dialogue, ...]


class Stage(Part):
    """One step of the preparation: rows that went in and rows that came out."""

    name: str
    rows_in: int
    rows_out: int
    note: str = ""


class RejectedRows(Part):
    """Rows that were left out for one reason."""

    kind: str
    rows: int
    example: str
    """File, line and reason of the first of them."""


class Duplicates(Part):
    """Near-duplicates that were removed."""

    threshold: float
    """Jaccard similarity of word n-grams from which two rows are one, in (0, 1]."""
    removed: dict[str, int]
    """By `Dialogue.source`."""
    file: str = ""
    """Name of the file that lists each removed row with the one that was kept."""


class Spending(Part):
    """What was asked of one model, and what it cost."""

    role: Literal["teacher", "judge", "quality filter"]
    model: str
    requests: int
    requests_before: int = 0
    """Of them, those that earlier runs had paid for: a resumed run does not ask them again."""
    estimated_requests: int = 0
    """Of them, those whose tokens the endpoint did not report."""
    prompt_tokens: int
    completion_tokens: int
    money: float
    """In the currency of the whole synthesis."""


class Synthesis(Part):
    """How the rows that a teacher wrote for one source were made and chosen."""

    source: str
    """As the rows carry it, for example `synthetic:teacher`."""
    planned: int
    accepted: int
    rejected: dict[str, int]
    """By reason."""
    not_asked: int = 0
    """Left out, or left without a score, since the budget was used up."""
    threshold: float
    """The judge's score from which a row is kept, 1 to 5."""
    passed: Histogram | None = None
    """Scores from the threshold up; None without a judge. From `split_scores`."""
    failed: Histogram | None = None
    """Scores below the threshold, in the same bins."""
    spending: tuple[Spending, ...] = ()
    currency: str = "USD"
    budget: float | None = None
    """What it was allowed to cost; None for no limit."""
    prompts: tuple[str, ...] = ()
    """Names of the prompts, with their versions."""
    note: str = ""
    """One sentence about what is unusual, for example that the teacher is a small stand-in."""


class LeakPair(Part):
    """A test question that training shows, nearly or in full."""

    test_id: str
    train_id: str
    test_text: str
    train_text: str
    jaccard: float = Field(ge=0, le=1)
    """Of the word n-grams of both."""
    containment: float = Field(ge=0, le=1)
    """Share of the test question's n-grams that the training question has."""


class Leakage(Part):
    """Outcome of the check between train and test."""

    questions: int
    """Test questions that were checked."""
    offending: int
    """Those that training shows."""
    max_share: float
    """The share from which the step fails."""
    pairs: tuple[LeakPair, ...] = ()
    """The first of them; the page shows ten."""

    @property
    def share(self) -> float:
        """Offending over checked, in [0, 1]."""
        return self.offending / self.questions if self.questions else 0.0


class CardInput(Part):
    """The whole card. Version 1."""

    schema_version: Literal[1] = 1
    name: str
    """What the dataset is called on the page."""
    seed: int
    recipe: dict[str, JsonValue]
    """The settings, as they were run; hold no secret."""
    dataset: Dataset
    stages: tuple[Stage, ...] = ()
    languages_dropped: dict[str, int] | None = None
    """Rows left out for their language, by its ISO 639-1 code."""
    masked: dict[str, int] | None = None
    """Places masked, by kind of personal data."""
    dialogues_masked: int = 0
    """Dialogues in which anything was masked."""
    rejected: tuple[RejectedRows, ...] = ()
    quarantine: str = ""
    """Name of the file with the rows that were left out."""
    duplicates: Duplicates | None = None
    syntheses: tuple[Synthesis, ...] = ()
    """One a source that a teacher wrote."""
    leakage: Leakage | None = None
    summary_page: str = ""
    """Address of Evidently's page, relative to the card; empty for none."""
