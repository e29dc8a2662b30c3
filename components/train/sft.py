"""Supervised fine-tuning: a LoRA adapter that learns the answers of the prepared dialogues."""

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedTokenizerBase,
    set_seed,
)
from transformers.trainer_utils import get_last_checkpoint
from trl import SFTConfig

from components.core.errors import MissingModelError, TrainingError
from components.core.json_lines import read_jsonl, write_jsonl
from components.core.schemas import Dialogue, LossPoint
from components.prepare.subset import Subset, select
from components.train.answer_loss import AnswerLossTrainer, collate
from components.train.frozen_layers import lower_outputs
from components.train.frozen_linear import pack_frozen_linears
from components.train.precision import training_dtype
from components.train.settings import LoraSettings, SftSettings
from components.train.tokenized_dialogues import TokenizedDialogues, tokenize


@dataclass(frozen=True)
class SftPaths:
    """What the stage reads and writes."""

    base: Path
    """A base model in the Hugging Face layout."""
    train: Path
    """Dialogues, JSON lines."""
    test: Path
    """Dialogues of phrasing families that are not in `train`, JSON lines."""
    adapter: Path
    """Where the adapter goes."""
    losses: Path
    """Where the loss curve goes: `LossPoint` rows."""
    checkpoints: Path
    """Where checkpoints of unfinished runs are kept."""


@dataclass(frozen=True)
class SftSummary:
    """What a run came to; losses are nats per answer token."""

    train_loss: float
    heldout_loss: float
    base_heldout_loss: float
    train_rows: int
    train_tokens: int
    """Tokens of the distinct rows, prompts included."""
    too_long: int
    updates: int


def fine_tune(settings: SftSettings, paths: SftPaths, subset: Subset | None = None) -> SftSummary:
    """Trains an adapter, going on from the last checkpoint of the same settings and data.

    Args:
        settings: The recipe.
        paths: What to read and write; `adapter` appears only when training is done.
        subset: Which dialogues are trained on and held out; None for all.

    Returns:
        The losses and sizes of the run.

    Raises:
        TrainingError: There is nothing to train on, or the loss is not finite.
        MissingModelError: The base model is not there.
        RecipeError: The subset names an unknown product or intent.
    """
    set_seed(settings.seed)
    part = subset or Subset()
    train = select(read_jsonl(paths.train, Dialogue), part)
    held = part.model_copy(update={"rows": settings.heldout_rows})
    heldout = select(read_jsonl(paths.test, Dialogue), held)
    tokenizer = _tokenizer(paths.base)
    train_rows = tokenize(train, tokenizer, settings.max_length)
    heldout_rows = tokenize(heldout, tokenizer, settings.max_length, len(train_rows.rows))
    run = paths.checkpoints / _run_key(settings, part, paths)
    trainer = _trainer(settings, paths.base, tokenizer, train_rows, heldout_rows, run)
    base_loss = float(trainer.evaluate()["eval_loss"])
    trainer.state.log_history.clear()
    trainer.train(resume_from_checkpoint=get_last_checkpoint(run) if run.exists() else None)
    points = _loss_points(trainer.state.log_history, base_loss)
    _save(trainer.model, paths.adapter)
    write_jsonl(paths.losses, points)
    shutil.rmtree(run, ignore_errors=True)
    return _summary(points, train_rows, settings.optimizer.updates)


def _tokenizer(base: Path) -> PreTrainedTokenizerBase:
    if not (base / "config.json").exists():
        raise MissingModelError(f"There is no base model in {base} (no config.json there).")
    return AutoTokenizer.from_pretrained(base)


def _run_key(settings: SftSettings, subset: Subset, paths: SftPaths) -> str:
    """Names a run by what decides its outcome, so that only the same run is resumed."""
    digest = hashlib.sha256((settings.model_dump_json() + subset.model_dump_json()).encode())
    for path in (paths.train, paths.base / "config.json"):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _trainer(
    settings: SftSettings,
    base: Path,
    tokenizer: PreTrainedTokenizerBase,
    train: TokenizedDialogues,
    heldout: TokenizedDialogues,
    run: Path,
) -> AnswerLossTrainer:
    model = AutoModelForCausalLM.from_pretrained(base, dtype=training_dtype(settings.dtype))
    first = _first_layer(settings.lora, model.config.num_hidden_layers)
    adapted = get_peft_model(model, _lora(settings.lora, first), autocast_adapter_dtype=False)
    if adapted.device.type == "cpu":
        pack_frozen_linears(adapted)
    trainer = AnswerLossTrainer(
        model=adapted,
        args=_arguments(settings, run),
        train_dataset=Dataset.from_list(train.rows),
        eval_dataset=Dataset.from_list(heldout.rows),
        data_collator=collate,
        processing_class=tokenizer,
    )
    trainer.first_layer = first
    if first:
        rows = train.input_ids() + heldout.input_ids()
        trainer.lower = lower_outputs(model.model, rows, first)
    return trainer


def _first_layer(lora: LoraSettings, layers: int) -> int:
    if lora.last_layers is None:
        return 0
    if lora.last_layers > layers:
        raise TrainingError(
            f"lora.last_layers is {lora.last_layers}, but the base model has {layers} layers."
        )
    return layers - lora.last_layers


def _lora(lora: LoraSettings, first_layer: int) -> LoraConfig:
    below = {"exclude_modules": rf".*layers\.({_alternatives(first_layer)})\..*"}
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        target_modules=list(lora.target_modules),
        task_type="CAUSAL_LM",
        **(below if first_layer else {}),
    )


def _alternatives(count: int) -> str:
    return "|".join(str(number) for number in range(count))


def _arguments(settings: SftSettings, run: Path) -> SFTConfig:
    optimizer = settings.optimizer
    return SFTConfig(
        output_dir=str(run),
        max_steps=optimizer.updates,
        per_device_train_batch_size=optimizer.batch_size,
        per_device_eval_batch_size=16,
        learning_rate=optimizer.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=optimizer.warmup_updates,
        weight_decay=optimizer.weight_decay,
        max_grad_norm=optimizer.max_gradient_norm,
        eval_strategy="steps",
        eval_steps=settings.evaluate_every,
        save_strategy="steps",
        save_steps=settings.evaluate_every,
        save_total_limit=1,
        logging_steps=5,
        prediction_loss_only=True,
        seed=settings.seed,
        bf16=False,
        dataloader_pin_memory=False,
        gradient_checkpointing=False,
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        report_to="none",
    )


def _loss_points(history: Sequence[dict[str, Any]], base_loss: float) -> list[LossPoint]:
    points = [LossPoint(series="heldout_base", step=0, loss=base_loss)]
    for entry in history:
        if "loss" in entry:
            points.append(LossPoint(series="train", step=entry["step"], loss=entry["loss"]))
        if "eval_loss" in entry:
            points.append(LossPoint(series="heldout", step=entry["step"], loss=entry["eval_loss"]))
    return points


def _save(model: PeftModel, adapter: Path) -> None:
    partial = adapter.with_name(adapter.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    shutil.rmtree(adapter, ignore_errors=True)
    os.replace(partial, adapter)


def _summary(points: Sequence[LossPoint], train: TokenizedDialogues, updates: int) -> SftSummary:
    last = {point.series: point.loss for point in points}
    return SftSummary(
        train_loss=last["train"],
        heldout_loss=last["heldout"],
        base_heldout_loss=last["heldout_base"],
        train_rows=len(train.rows),
        train_tokens=sum(len(ids) for ids in train.input_ids()),
        too_long=train.too_long,
        updates=updates,
    )
