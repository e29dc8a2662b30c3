"""What cleaning keeps: limits, languages, links and the thresholds of the quality rules."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt


class QualitySettings(BaseModel):
    """Thresholds of the statistical filter.

    Those named after Gopher come from Rae et al. 2021, "Scaling Language Models: Methods, Analysis
    & Insights from Training Gopher" (arXiv:2112.11446), table A1. Its rules are for web pages of
    50 words and more; where a chat's answer of seven words would fail them, the docstring says
    what was changed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_symbol_share: float = Field(default=0.3, ge=0, le=1)
    """Characters that are neither letters, digits nor ordinary punctuation, among all but spaces.
    Gopher counts `#` and ellipses only, 0.1 a word; chats also hold emoji and broken tables."""
    repetition_from_words: PositiveInt = 100
    """Length from which the rules on n-grams apply. Gopher has 50, where a phrase said twice, about
    two products, is too much already."""
    max_top_ngram_share: tuple[tuple[PositiveInt, float], ...] = ((2, 0.2), (3, 0.18), (4, 0.16))
    """Gopher: share of characters within the most frequent n-gram, for n words."""
    min_distinct_words: float = Field(default=0.35, ge=0, le=1)
    """Distinct words among all, for texts of 10 to 300 words; ours, since Gopher's rules do not
    reach short texts. Russian answers of this length have 0.5 and more."""
    max_same_sentences: float = Field(default=0.3, ge=0, le=1)
    """Gopher: sentences or lines (from four) that repeat an earlier one."""
    min_known_words: float = Field(default=0.25, ge=0, le=1)
    """Words of four letters and more that the dictionary of pymorphy3 knows, from two such words;
    the heaviest typing errors leave a third of them known, and invented words none."""


class CleaningSettings(BaseModel):
    """How dialogues are cleaned, and which are left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    languages: tuple[str, ...] = Field(default=("ru",), min_length=1)
    """ISO 639-1 codes that are kept; dialogues in others are left out and counted by language."""
    max_question_characters: PositiveInt = 2_000
    """For each message of the user."""
    max_answer_characters: PositiveInt = 6_000
    """For each message of the assistant."""
    min_answer_characters: PositiveInt = 2
    max_turns: PositiveInt = 40
    links: Literal["strip", "reject", "keep"] = "strip"
    """What to do with web addresses: a model that learned them invents others."""
    own_domains: tuple[str, ...] = ()
    """Addresses on these domains and below are kept, for example `finist.ru`."""
    refusals: bool = True
    """Leave out answers in which a model speaks of itself or refuses."""
    boilerplate: bool = True
    """Leave out leftovers of web pages and of prompts (unfilled placeholders, chat markers)."""
    phrases: Path | None = None
    """A file like `phrases.yaml` in its place; None takes the built-in one."""
    statistical_filter: bool = True
    """Leave out what its own statistics give away: gibberish, repetition, symbols."""
    quality: QualitySettings = QualitySettings()
    """Thresholds of the statistical filter."""
