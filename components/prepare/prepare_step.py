"""The data stage as one call, for KFP: a recipe in, files and figures out."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.core.recipes import check_recipe
from components.prepare.card.card_input import CardInput
from components.prepare.dataset import DatasetFiles, prepare_dataset
from components.prepare.recipe import DatasetRecipe


def run_step(
    recipe: Mapping[str, Any], outputs: Sequence[str], summary_link: str
) -> dict[str, float]:
    """Makes a dataset and gives the figures to log.

    Args:
        recipe: The fields of `DatasetRecipe`.
        outputs: The files of `DatasetFiles`, in its order.
        summary_link: Address of the summary, relative to the card.

    Returns:
        See `figures`.

    Raises:
        RecipeError: The recipe has an unknown key or a value out of range.
        BadInputError: See `components.prepare.dataset.prepare_dataset`.
    """
    settings = check_recipe("the data recipe", recipe, DatasetRecipe)
    files = DatasetFiles(*(Path(path) for path in outputs))
    home = Path(os.environ.get("FINIST_HOME", ".finist"))
    return figures(prepare_dataset(settings, files, home, summary_link))


def figures(card: CardInput) -> dict[str, float]:
    """Gives a dataset's main figures.

    Args:
        card: What its data card says.
    """
    return {
        "train_rows": card.dataset.train,
        "test_rows": card.dataset.test,
        "rows_left_out": sum(rejected.rows for rejected in card.rejected),
        "near_duplicates_removed": sum(card.duplicates.removed.values()) if card.duplicates else 0,
        "dialogues_masked": card.dialogues_masked,
        "leaking_share": card.leakage.share if card.leakage else 0.0,
    }
