"""What a recipe may set about the executor, near-duplicates, the split and leakage."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt

GroupKey = Literal["dialogue", "user", "family", "question"]


class Settings(BaseModel):
    """Part of a recipe; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ExecutorSettings(Settings):
    """Where the tasks of a stage run; results do not depend on it."""

    executor: Literal["local", "ray"] = "local"
    """`local`: processes of this machine. `ray`: a Ray cluster that shares the work folder."""
    workers: PositiveInt | None = None
    """Tasks at a time; None takes one for each core that this process may use."""
    ray_address: str | None = None
    """`host:port` or `auto`; None starts Ray on this machine for the time of the stage."""
    memory_gib: PositiveFloat = 1.0
    """Memory that Ray reserves for a task, in GiB; the local executor reserves nothing."""


class NearDuplicateSettings(Settings):
    """Which dialogues count as the same."""

    threshold: float = Field(default=0.8, gt=0, le=1)
    """Jaccard similarity of the two sets of word n-grams from which the later row goes."""
    ngram_words: PositiveInt = 5
    """Words of an n-gram; a shorter text is one n-gram."""
    buckets: PositiveInt = 16
    """Buckets of LSH: more find more near the threshold, and cost more."""
    hashes_per_bucket: PositiveInt = 6
    """A pair of similarity s meets in a bucket with chance 1 - (1 - s ** hashes) ** buckets:
    99% at the default threshold."""
    seed: NonNegativeInt = 1
    """Of the hash functions."""
    keep_sources: tuple[str, ...] = ("synthetic:built-in-bank",)
    """Rows of these sources vary one wording on purpose: never removed, though others near them
    are."""


class LeakageSettings(Settings):
    """Which test question counts as shown to training already."""

    jaccard: float = Field(default=0.8, gt=0, le=1)
    """Similarity of the two questions' sets of word n-grams from which they are the same."""
    containment: float = Field(default=0.9, gt=0, le=1)
    """Share of the test question's n-grams inside one training question from which they are."""
    containment_ngrams: PositiveInt = 4
    """Test questions with fewer n-grams are too short for containment to mean anything."""
    ngram_words: PositiveInt = 3
    """Words of an n-gram; customers' questions are too short for five."""
    max_share: float = Field(default=0.0, ge=0, le=1)
    """Share of leaking test questions above which the step fails."""


class SplitSettings(Settings):
    """How rows without a split are dealt."""

    train_rows: PositiveInt = 10_000
    """The least that training must have."""
    test_rows: PositiveInt = 700
    """The least that the test must have, those that came with `split: test` counted."""
    seed: NonNegativeInt = 0
    """The same rows and seed give the same split."""
    group_by: tuple[GroupKey, ...] = ("dialogue", "user", "family", "question")
    """Rows that share any of these never stand in both splits."""
