"""The preflight as one call, for KFP: recipes in, a page out. Imports nothing heavy."""

from collections.abc import Mapping
from typing import Any

from components.core.recipes import check_recipe
from components.train.planner.gpus import parse_gpus
from components.train.planner.preflight import preflight
from components.train.settings import OrpoSettings, SftSettings, TrainingSettings


def run_preflight(recipe: Mapping[str, Any], orpo_recipe: Mapping[str, Any], gpus: str) -> str:
    """Says whether the training of a pipeline fits its GPUs.

    Args:
        recipe: The fields of `SftSettings`.
        orpo_recipe: The fields of `OrpoSettings`; empty where there is no ORPO.
        gpus: The pool, as `4xA100-80GB`; empty where there is none.

    Returns:
        The plans as Markdown.

    Raises:
        RecipeError: A recipe has an unknown key or a value out of range.
        DoesNotFitError: See `components.train.planner.preflight.preflight`.
    """
    recipes: list[TrainingSettings] = [check_recipe("the recipe", recipe, SftSettings)]
    if orpo_recipe:
        recipes.append(check_recipe("the ORPO recipe", orpo_recipe, OrpoSettings))
    return preflight(recipes, parse_gpus(gpus) if gpus else None)
