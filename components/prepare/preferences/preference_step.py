"""Preference pairs as one call, for KFP: a recipe and dialogues in, files and figures out."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.core.recipes import check_recipe
from components.prepare.load import BANK, load_bank
from components.prepare.preferences.files import PairFiles, PairSources, write_pairs
from components.prepare.preferences.settings import PreferenceSettings


def run_preferences(
    recipe: Mapping[str, Any], train: str, test: str, outputs: Mapping[str, str], bank: str = ""
) -> dict[str, float]:
    """Corrupts the reference answers of prepared dialogues, and gives the figures to log.

    Args:
        recipe: The fields of `PreferenceSettings`.
        train: Dialogues to train on, JSON lines.
        test: Dialogues held out, JSON lines.
        outputs: The files of `PairFiles`, by its names.
        bank: Folder of the catalogue that the data recipe names; empty for the built-in one.

    Returns:
        Pairs of each split, training pairs by reason, and rows that were not used.

    Raises:
        RecipeError: The recipe has an unknown key or a value out of range.
        BadInputError: See `components.prepare.preferences.files.write_pairs`.
    """
    settings = check_recipe("the recipe of preferences", recipe, PreferenceSettings)
    files = PairFiles(**{name: Path(path) for name, path in outputs.items()})
    catalogue = load_bank(Path(bank) if bank else BANK)
    counts = write_pairs(PairSources(Path(train), Path(test)), files, settings, catalogue)
    reasons = Counter(pair.reason for pair in counts.pairs)
    return {
        "train_pairs": len(counts.pairs),
        "test_pairs": len(counts.test_pairs),
        **{f"train_pairs.{reason}": number for reason, number in sorted(reasons.items())},
        "unusable_dialogues": counts.unusable,
        "rows_left_out": counts.left_out.total(),
    }
