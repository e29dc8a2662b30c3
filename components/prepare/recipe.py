"""The data recipe: sources, and what each part of the preparation does with their rows."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from components.core.recipes import load_recipe
from components.prepare.cleaning.quality_llm import LlmQualitySettings
from components.prepare.cleaning.settings import CleaningSettings
from components.prepare.deduplication.settings import (
    ExecutorSettings,
    LeakageSettings,
    NearDuplicateSettings,
    SplitSettings,
)
from components.prepare.personal_data.masking import MaskingSettings
from components.prepare.sources.open import OpenSource
from components.prepare.sources.own import OwnSource
from components.prepare.synthesis.settings import SyntheticSource

RECIPES = Path(__file__).parent / "recipes"


class Settings(BaseModel):
    """Part of a recipe: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BankSource(Settings):
    """The deterministic generator over the bank's catalogue: no LLM, no cost, the same bytes."""

    kind: Literal["bank"] = "bank"
    train_rows: int = Field(10_000, ge=1)
    test_rows: int = Field(700, ge=1)
    """In phrasings that training never shows."""


Source = Annotated[
    BankSource | OwnSource | OpenSource | SyntheticSource, Field(discriminator="kind")
]


class DatasetRecipe(Settings):
    """A dataset: where rows come from, and what is done with them, in this order."""

    name: str = "finist"
    """What the dataset is called on its card."""
    seed: int = 7
    """Of the built-in generator and of the card's examples."""
    bank: Path | None = None
    """The catalogue's folder; None for the built-in fictional bank. The generator and the teacher
    write from it, and own rows must have one of its intents."""
    sources: tuple[Source, ...] = Field((BankSource(),), min_length=1)
    cleaning: CleaningSettings = CleaningSettings()
    masking: MaskingSettings = MaskingSettings()
    quality_filter: LlmQualitySettings | None = None
    """An LLM that drops what the statistical filter lets through; None asks none."""
    near_duplicates: NearDuplicateSettings = NearDuplicateSettings()
    split: SplitSettings = SplitSettings()
    leakage: LeakageSettings = LeakageSettings()
    executor: ExecutorSettings = ExecutorSettings()
    """Where the heavy parts run; results do not depend on it."""


def read_recipe(path: Path) -> DatasetRecipe:
    """Reads a data recipe.

    Args:
        path: A YAML file, or the name of one in `recipes/`.

    Raises:
        RecipeError: The file cannot be used; names it and the key.
    """
    named = RECIPES / f"{path}.yaml"
    return load_recipe(named if named.exists() else path, DatasetRecipe)
