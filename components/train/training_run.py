"""What SFT, ORPO and distillation share: arguments, checkpoints, the curve, the saved adapter."""

import hashlib
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from transformers import EarlyStoppingCallback, Trainer
from transformers.integrations import TensorBoardCallback
from trl import SFTConfig

from components.core.errors import TrainingError
from components.core.json_lines import write_jsonl
from components.core.schemas import LossPoint
from components.train.adapted_model import name_base
from components.train.checkpoints import CheckpointKeeper, CheckpointPlace, forget, newest
from components.train.planner.preflight import after_out_of_memory
from components.train.precision import training_dtype
from components.train.settings import TrainingSettings
from components.train.zero3 import zero3_arguments

LOG = logging.getLogger(__name__)
LOGGING_UPDATES = 5
CHECKPOINTS = 3
"""Kept on the disk: the newest, the best, and the one that was newest until it is sealed."""
EVALUATION_ROWS = 4
"""Rows at once in evaluation for each one in training, on a CPU: there is room without gradients.
On a GPU float32 logits of a large vocabulary would be the peak that no planner counted."""


@dataclass(frozen=True)
class TrainingPaths:
    """What a training stage reads and writes."""

    base: Path
    """A base model in the Hugging Face layout."""
    train: Path
    """Dialogues or preference pairs, JSON lines."""
    test: Path
    """The same in phrasing families that are not in `train`, JSON lines."""
    adapter: Path
    """Where the adapter goes."""
    losses: Path
    """Where the loss curve goes: `LossPoint` rows."""
    home: Path
    """Checkpoints of unfinished runs lie in its `checkpoints/`."""
    tensorboard: Path
    """A folder for TensorBoard's event files."""


@dataclass(frozen=True)
class TrainingSummary:
    """What a run came to; losses are nats per answer token."""

    train_loss: float
    heldout_loss: float
    """Of the weights that are kept: the lowest that was measured."""
    base_heldout_loss: float
    """Before the first update."""
    updates: int
    """Fewer than the recipe's where training stopped early."""
    best_update: int
    train_rows: int
    train_tokens: int
    """Tokens of the distinct rows, prompts included."""
    too_long: int
    """Rows left out because they exceed the window."""


def run_key(settings: BaseModel, subset: BaseModel, inputs: Sequence[Path]) -> str:
    """Names a run by what decides its outcome, so that only the same run is resumed.

    Args:
        settings: The recipe.
        subset: Which rows are taken.
        inputs: Files whose content decides.

    Returns:
        Twelve hexadecimal digits.
    """
    digest = hashlib.sha256((settings.model_dump_json() + subset.model_dump_json()).encode())
    for path in inputs:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]


def arguments(
    settings: TrainingSettings, run: Path, kind: type[SFTConfig] = SFTConfig, **others: Any
) -> SFTConfig:
    """Gives the Trainer's arguments.

    Make them before the model is loaded: under ZeRO-3 they tell transformers to shard it.

    Args:
        settings: The recipe.
        run: The run's folder, for checkpoints.
        kind: The arguments of SFT, or of a trainer built on it.
        others: What one kind of training sets beside.
    """
    optimizer, hardware = settings.optimizer, settings.hardware
    cuda, zero3 = torch.cuda.is_available(), hardware.deepspeed == "zero3"
    return kind(
        output_dir=str(run),
        max_steps=optimizer.updates,
        per_device_train_batch_size=optimizer.batch_size,
        per_device_eval_batch_size=optimizer.batch_size * (1 if cuda else EVALUATION_ROWS),
        gradient_accumulation_steps=optimizer.accumulation,
        learning_rate=optimizer.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=optimizer.warmup_updates,
        weight_decay=optimizer.weight_decay,
        max_grad_norm=optimizer.max_gradient_norm,
        eval_strategy="steps",
        eval_steps=settings.evaluate_every,
        eval_on_start=True,
        save_strategy="steps",
        save_steps=settings.evaluate_every,
        save_total_limit=CHECKPOINTS,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        restore_callback_states_from_checkpoint=True,  # early stopping's count
        # A divisor, so that no mean of the training loss spans a checkpoint: a resumed run would
        # know its second half only.
        logging_steps=gcd(LOGGING_UPDATES, settings.evaluate_every),
        prediction_loss_only=True,
        logging_nan_inf_filter=False,  # such a loss is refused; the filter waits for the GPU
        seed=settings.seed,
        bf16=cuda and training_dtype(hardware.dtype) is torch.bfloat16,
        dataloader_pin_memory=cuda,
        gradient_checkpointing=hardware.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": zero3},  # TRL's rule for adapters
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        report_to="none",
        **(zero3_arguments() if zero3 else {}),
        **others,
    )


def train(
    trainer: Trainer, settings: TrainingSettings, paths: TrainingPaths, place: CheckpointPlace
) -> list[LossPoint]:
    """Trains from the newest checkpoint of the run, and keeps adapter and curve.

    Args:
        trainer: With its model and data.
        settings: The recipe.
        paths: `adapter` and `losses` appear only when training is done.
        place: Where the run's checkpoints are kept.

    Returns:
        The curve.

    Raises:
        TrainingError: The loss is not finite, or the device has too little memory.
        StorageError: The store that holds checkpoints cannot be asked for them.
    """
    tensorboard = TensorBoardCallback()
    tensorboard.logging_dir = str(paths.tensorboard)
    trainer.add_callback(tensorboard)
    trainer.add_callback(CheckpointKeeper(place))
    if settings.patience:
        trainer.add_callback(EarlyStoppingCallback(settings.patience))
    checkpoint = newest(place)
    trainer.args.eval_on_start = checkpoint is None
    with _out_of_memory(settings):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    points = loss_points(trainer.state.log_history)
    _save(trainer, paths)
    if trainer.is_world_process_zero():
        write_jsonl(paths.losses, points)
        warn_of_harm(points)
    forget(place)
    return points


def loss_points(history: Sequence[dict[str, Any]]) -> list[LossPoint]:
    """Gives the curve of a Trainer's log; what was measured twice counts once."""
    points: dict[tuple[str, int], LossPoint] = {}
    for entry in history:
        step = entry["step"]
        heldout = "heldout" if step else "heldout_base"
        for key, series in (("loss", "train"), ("eval_loss", heldout)):
            if key in entry:
                points[series, step] = LossPoint(
                    series=series,
                    step=step,
                    loss=entry[key],
                    preference_accuracy=entry.get("eval_preference_accuracy"),
                    preference_margin=entry.get("eval_preference_margin"),
                )
    return list(points.values())


def warn_of_harm(points: Sequence[LossPoint]) -> None:
    """Warns of a training that only harms: the start's weights are no checkpoint to go back to.

    Args:
        points: The run's curve.
    """
    start = next((p.loss for p in points if p.series == "heldout_base"), None)
    best = min((p.loss for p in points if p.series == "heldout"), default=None)
    if start is not None and best is not None and best >= start:
        LOG.warning(
            "The held-out loss never fell below %.4f, where it started; its best is %.4f. What is "
            "kept is worse than the model it began with: lower the learning rate or the updates.",
            start,
            best,
        )


def summary(
    points: Sequence[LossPoint], rows: Sequence[Sequence[int]], too_long: int
) -> TrainingSummary:
    """Sums a run up.

    Args:
        points: Its curve.
        rows: Token ids of the distinct rows.
        too_long: Rows that were left out.
    """
    last = {point.series: point for point in points}
    best = min((p for p in points if p.series == "heldout"), key=lambda point: point.loss)
    return TrainingSummary(
        train_loss=last["train"].loss,
        heldout_loss=best.loss,
        base_heldout_loss=last["heldout_base"].loss,
        updates=last["heldout"].step,
        best_update=best.step,
        train_rows=len(rows),
        train_tokens=sum(len(ids) for ids in rows),
        too_long=too_long,
    )


def _save(trainer: Trainer, paths: TrainingPaths) -> None:
    """Every process takes part, since each may hold a shard; the first one writes."""
    partial = paths.adapter.with_name(paths.adapter.name + ".partial")
    trainer.save_model(str(partial))
    if not trainer.is_world_process_zero():
        return
    (partial / "training_args.bin").unlink(missing_ok=True)  # a pickle that nobody reads
    name_base(partial, paths.base)
    shutil.rmtree(paths.adapter, ignore_errors=True)
    os.replace(partial, paths.adapter)


@contextmanager
def _out_of_memory(settings: TrainingSettings) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        memory = torch.cuda.get_device_properties(0).total_memory
        advice = after_out_of_memory(settings, memory)
        raise TrainingError(f"The device ran out of memory. {advice}") from error
