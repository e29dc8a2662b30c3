"""The training stage as one call, for KFP and the shell: settings in, adapter and curve out."""

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from components.core.json_lines import read_jsonl
from components.core.recipes import check_recipe
from components.core.schemas import LossPoint
from components.prepare.subset import Subset
from components.train.loss_curve import write_html
from components.train.settings import SftSettings
from components.train.sft import SftPaths, fine_tune


def run_step(
    recipe: Mapping[str, Any],
    paths: Mapping[str, str],
    curve: str,
    subset: Mapping[str, Any] | None = None,
) -> dict[str, float]:
    """Trains, draws the curve, and gives the figures to log.

    Args:
        recipe: The fields of `SftSettings`.
        paths: `base`, `train`, `test`, `adapter`, `losses`.
        curve: The HTML file of the loss curve.
        subset: The fields of `Subset`; None trains on every dialogue.

    Returns:
        The fields of `SftSummary`.

    Raises:
        RecipeError: The recipe has an unknown key or a value out of range.
        TrainingError: See `components.train.sft.fine_tune`.
    """
    settings = check_recipe("the recipe", recipe, SftSettings)
    folders = {name: Path(path) for name, path in paths.items()}
    checkpoints = Path(os.environ.get("FINIST_HOME", ".finist")) / "checkpoints"
    part = check_recipe("the recipe's subset", subset or {}, Subset)
    summary = fine_tune(settings, SftPaths(**folders, checkpoints=checkpoints), part)
    write_html(read_jsonl(folders["losses"], LossPoint), Path(curve))
    return asdict(summary)
