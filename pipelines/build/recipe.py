"""A build recipe: hyper-parameters of a run, one YAML file per model and size."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from components.core.recipes import load_recipe
from components.prepare.preferences.settings import PreferenceSettings
from components.prepare.recipe import DatasetRecipe
from components.prepare.subset import Subset
from components.train.settings import DistillSettings, OrpoSettings, SftSettings
from pipelines.build.pipeline import Stages

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
    preferences: PreferenceSettings = PreferenceSettings()
    """How the pairs that `orpo` learns from are made."""
    orpo: OrpoSettings | None = None
    """Preference training after SFT; left out, there is none."""
    distill: DistillSettings | None = None
    """A smaller student of the candidate; left out, there is none."""
    data: DatasetRecipe = DatasetRecipe()
    evaluation: EvaluationSettings = EvaluationSettings()

    def parameters(self) -> dict[str, Any]:
        """Gives the recipe as parameters of the build pipeline."""
        return {
            "recipe": _plain(self.sft),
            "subset": _plain(self.subset),
            "preferences": _plain(self.preferences),
            "orpo_recipe": _plain(self.orpo),
            "distill_recipe": _plain(self.distill),
            "base_model": self.sft.base_model,
            "student_model": self.distill.base_model if self.distill else "",
            "data": self.data.model_dump(mode="json", exclude_unset=True, exclude_none=True),
            **self.evaluation.model_dump(),
        }

    def stages(self) -> Stages:
        """Says which optional stages the recipe has."""
        return Stages(
            orpo=self.orpo is not None,
            distill=self.distill is not None,
            student=self.distill is not None and self.distill.student_layers is None,
        )


def _plain(settings: BaseModel | None) -> dict[str, Any]:
    return settings.model_dump(mode="json", exclude_none=True) if settings else {}


def read_recipe(path: Path) -> BuildRecipe:
    """Reads a build recipe.

    Args:
        path: A YAML file, or the name of one in `recipes/`.

    Raises:
        RecipeError: The file cannot be used; names it and the key.
    """
    named = RECIPES / f"{path}.yaml"
    return load_recipe(named if named.exists() else path, BuildRecipe)
