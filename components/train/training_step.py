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
from components.train.distill import Teacher, distill
from components.train.loss_curve import write_html
from components.train.merge import merge
from components.train.orpo import align
from components.train.settings import DistillSettings, OrpoSettings, SftSettings
from components.train.sft import fine_tune
from components.train.training_run import TrainingPaths


def run_sft(
    recipe: Mapping[str, Any],
    paths: Mapping[str, str],
    curve: str,
    subset: Mapping[str, Any] | None = None,
) -> dict[str, float]:
    """Trains, draws the curve, and gives the figures to log.

    Args:
        recipe: The fields of `SftSettings`.
        paths: `base`, `train`, `test`, `adapter`, `losses`, `tensorboard`.
        curve: The HTML file of the loss curve.
        subset: The fields of `Subset`; None trains on every dialogue.

    Returns:
        The fields of `TrainingSummary`.

    Raises:
        RecipeError: The recipe has an unknown key or a value out of range.
        TrainingError: See `components.train.sft.fine_tune`.
    """
    settings = check_recipe("the recipe", recipe, SftSettings)
    part = check_recipe("the recipe's subset", subset or {}, Subset)
    folders = training_paths(paths)
    summary = fine_tune(settings, folders, part)
    write_html(read_jsonl(folders.losses, LossPoint), Path(curve))
    return asdict(summary)


def run_orpo(
    recipe: Mapping[str, Any], paths: Mapping[str, str], curve: str, start: str | None = None
) -> dict[str, float]:
    """Trains on preference pairs, draws the curve, and gives the figures to log.

    Args:
        recipe: The fields of `OrpoSettings`.
        paths: `base`, `train`, `test`, `adapter`, `losses`, `tensorboard`.
        curve: The HTML file of the loss curve.
        start: The adapter to go on from; None begins a new one.

    Returns:
        The figures of `OrpoSummary`.

    Raises:
        RecipeError: The recipe has an unknown key or a value out of range.
        TrainingError: See `components.train.orpo.align`.
    """
    settings = check_recipe("the recipe", recipe, OrpoSettings)
    folders = training_paths(paths)
    summary = align(settings, folders, Path(start) if start else None)
    write_html(read_jsonl(folders.losses, LossPoint), Path(curve))
    return summary.figures()


def run_distill(
    recipe: Mapping[str, Any],
    paths: Mapping[str, str],
    curve: str,
    subset: Mapping[str, Any] | None = None,
    answers: str | None = None,
) -> dict[str, float]:
    """Trains a student, merges it, draws the curve, and gives the figures to log.

    Args:
        recipe: The fields of `DistillSettings`.
        paths: `teacher`, `train`, `test`, `adapter`, `losses`, `tensorboard`; `base`, which is not
            read when the recipe has `student_layers`; and `student`, the merged checkpoint.
        curve: The HTML file of the loss curve.
        subset: The fields of `Subset`; None trains on every dialogue.
        answers: The teacher's answers to the training questions; None generates them.

    Returns:
        The fields of `DistillSummary`, and how much merging changed the logits.

    Raises:
        RecipeError: The recipe has an unknown key or a value out of range.
        TrainingError: See `components.train.distill.distill`.
    """
    settings = check_recipe("the recipe", recipe, DistillSettings)
    part = check_recipe("the recipe's subset", subset or {}, Subset)
    others = {name: path for name, path in paths.items() if name not in ("teacher", "student")}
    if settings.student_layers:
        others["base"] = f"{paths['student']}.base"
    folders = training_paths(others)
    teacher = Teacher(Path(paths["teacher"]), Path(answers) if answers else None)
    summary = distill(settings, folders, teacher, part)
    figures = asdict(summary)
    merged = Path(paths["student"])
    figures["relative_logit_difference"] = merge(folders.base, folders.adapter, merged)
    write_html(read_jsonl(folders.losses, LossPoint), Path(curve))
    return figures


def training_paths(paths: Mapping[str, str]) -> TrainingPaths:
    """Gives a stage's paths, with checkpoints under `FINIST_HOME`."""
    folders = {name: Path(path) for name, path in paths.items()}
    return TrainingPaths(**folders, home=Path(os.environ.get("FINIST_HOME", ".finist")))
