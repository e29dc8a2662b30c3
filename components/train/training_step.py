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
from components.train.gpu_layers import keep_memory_whole
from components.train.launch import launch, needs_processes
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
    keep_memory_whole()
    if needs_processes(settings.hardware):
        given = {"recipe": recipe, "paths": paths, "curve": curve, "subset": subset}
        return launch("run_sft", given, settings.hardware)
    part = check_recipe("the recipe's subset", subset or {}, Subset)
    folders = training_paths(paths)
    summary = fine_tune(settings, folders, part)
    _draw(folders.losses, Path(curve))
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
    keep_memory_whole()
    if needs_processes(settings.hardware):
        given = {"recipe": recipe, "paths": paths, "curve": curve, "start": start}
        return launch("run_orpo", given, settings.hardware)
    folders = training_paths(paths)
    summary = align(settings, folders, Path(start) if start else None)
    _draw(folders.losses, Path(curve))
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
        The fields of `DistillSummary`, and how much merging changed the logits. The processes of
        a TrainJob leave the adapter, for `merge` to be called afterwards.

    Raises:
        RecipeError: The recipe has an unknown key or a value out of range.
        TrainingError: See `components.train.distill.distill`.
    """
    figures = train_student(recipe, paths, curve, subset, answers)
    if "TORCHELASTIC_RUN_ID" not in os.environ:  # ZeRO-3 would shard what is merged
        base, adapter = Path(_student_base(recipe, paths)), Path(paths["adapter"])
        merged = Path(paths["student"])
        figures["relative_logit_difference"] = merge(base, adapter, merged)
    return figures


def train_student(
    recipe: Mapping[str, Any],
    paths: Mapping[str, str],
    curve: str,
    subset: Mapping[str, Any] | None = None,
    answers: str | None = None,
) -> dict[str, float]:
    """Trains a student's adapter; see `run_distill`."""
    settings = check_recipe("the recipe", recipe, DistillSettings)
    keep_memory_whole()
    if needs_processes(settings.hardware):
        given = {"recipe": recipe, "paths": paths, "curve": curve, "subset": subset}
        return launch("train_student", given | {"answers": answers}, settings.hardware)
    part = check_recipe("the recipe's subset", subset or {}, Subset)
    others = {name: path for name, path in paths.items() if name not in ("teacher", "student")}
    folders = training_paths(others | {"base": _student_base(recipe, paths)})
    teacher = Teacher(Path(paths["teacher"]), Path(answers) if answers else None)
    summary = distill(settings, folders, teacher, part)
    _draw(folders.losses, Path(curve))
    return asdict(summary)


def _student_base(recipe: Mapping[str, Any], paths: Mapping[str, str]) -> str:
    return f"{paths['student']}.base" if recipe.get("student_layers") else paths["base"]


def training_paths(paths: Mapping[str, str]) -> TrainingPaths:
    """Gives a stage's paths, with checkpoints under `FINIST_HOME`."""
    folders = {name: Path(path) for name, path in paths.items()}
    return TrainingPaths(**folders, home=Path(os.environ.get("FINIST_HOME", ".finist")))


def _draw(losses: Path, curve: Path) -> None:
    """Draws the loss curve, in the first of a run's processes only."""
    if int(os.environ.get("RANK", "0")) == 0:
        write_html(read_jsonl(losses, LossPoint), curve)
