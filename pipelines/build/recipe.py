"""A build recipe: hyper-parameters of a run, one YAML file per model and size."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from components.core.recipes import load_recipe
from components.prepare.recipe import DatasetRecipe
from components.prepare.subset import Subset
from components.train.settings import SftSettings

RECIPES = Path(__file__).parent / "recipes"


class EvaluationSettings(BaseModel):
    """How the contenders are asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    questions: int = Field(0, ge=0)
    """Test questions of the subset, balanced over facts; 0 asks all."""
    max_tokens: int = Field(256, ge=1)
    concurrency: int = Field(32, ge=1)


class BuildRecipe(BaseModel):
    """A run of the build pipeline."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    subset: Subset = Subset()
    """Which dialogues are trained on and asked about; all by default."""
    sft: SftSettings = SftSettings()
    data: DatasetRecipe = DatasetRecipe()
    evaluation: EvaluationSettings = EvaluationSettings()

    def parameters(self) -> dict[str, Any]:
        """Gives the recipe as parameters of the build pipeline."""
        return {
            "recipe": self.sft.model_dump(mode="json", exclude_none=True),
            "subset": self.subset.model_dump(mode="json", exclude_none=True),
            "base_model": self.sft.base_model,
            "data": self.data.model_dump(mode="json", exclude_unset=True, exclude_none=True),
            **self.evaluation.model_dump(),
        }


def read_recipe(path: Path) -> BuildRecipe:
    """Reads a build recipe.

    Args:
        path: A YAML file, or the name of one in `recipes/`.

    Raises:
        RecipeError: The file cannot be used; names it and the key.
    """
    named = RECIPES / f"{path}.yaml"
    return load_recipe(named if named.exists() else path, BuildRecipe)
