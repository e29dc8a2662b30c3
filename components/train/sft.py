"""Supervised fine-tuning: a LoRA adapter that learns the answers of the prepared dialogues."""

import os
from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed
from trl import SFTConfig, pack_dataset

from components.core.json_lines import read_jsonl
from components.core.schemas import Dialogue
from components.prepare.subset import Subset, select
from components.train.adapted_model import adapt, first_adapted_layer, load_base, load_tokenizer
from components.train.answer_loss import AnswerLossTrainer, collate, collate_packed
from components.train.checkpoints import checkpoint_place
from components.train.gpu_layers import speed_up
from components.train.settings import SftSettings
from components.train.tokenized_dialogues import TokenizedDialogues, tokenize
from components.train.training_run import (
    TrainingPaths,
    TrainingSummary,
    arguments,
    run_key,
    summary,
    train,
)


def fine_tune(
    settings: SftSettings, paths: TrainingPaths, subset: Subset | None = None
) -> TrainingSummary:
    """Trains an adapter, going on from the last checkpoint of the same settings and data.

    Args:
        settings: The recipe.
        paths: What to read and write; `adapter` appears only when training is done.
        subset: Which dialogues are trained on and held out; None for all.

    Returns:
        The losses and sizes of the run.

    Raises:
        TrainingError: There is nothing to train on, the loss is not finite, or the recipe does
            not fit the base model or the device.
        MissingModelError: The base model is not there.
        RecipeError: The subset names an unknown product or intent.
    """
    set_seed(settings.seed)
    part = subset or Subset()
    tokenizer = load_tokenizer(paths.base)
    rows, heldout = _rows(settings, paths, part, tokenizer)
    key = run_key(settings, part, (paths.train, paths.base / "config.json"))
    place = checkpoint_place(key, paths.home, os.environ)
    # Made before the model: under ZeRO-3 they tell transformers to shard it.
    config = arguments(settings, place.folder)
    model = load_base(settings, paths.base)
    trainer = _trainer(settings, config, model, tokenizer, (rows, heldout))
    points = train(trainer, settings, paths, place)
    return summary(points, rows.input_ids(), rows.too_long)


def _rows(
    settings: SftSettings, paths: TrainingPaths, part: Subset, tokenizer: PreTrainedTokenizerBase
) -> tuple[TokenizedDialogues, TokenizedDialogues]:
    chosen = select(read_jsonl(paths.train, Dialogue), part)
    held = part.model_copy(update={"rows": settings.heldout_rows})
    train_rows = tokenize(chosen, tokenizer, settings.max_length)
    heldout = select(read_jsonl(paths.test, Dialogue), held)
    return train_rows, tokenize(heldout, tokenizer, settings.max_length, len(train_rows.rows))


def _trainer(
    settings: SftSettings,
    config: SFTConfig,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    data: tuple[TokenizedDialogues, TokenizedDialogues],
) -> AnswerLossTrainer:
    rows, heldout = (part.rows for part in data)
    trainer = AnswerLossTrainer(
        model=speed_up(adapt(model, settings), settings),
        args=config,
        train_dataset=_packed(rows, settings) if settings.packing else Dataset.from_list(rows),
        eval_dataset=Dataset.from_list(_alone(heldout) if settings.packing else heldout),
        data_collator=collate_packed if settings.packing else collate,
        processing_class=tokenizer,
    )
    first = first_adapted_layer(settings.lora, model.config.num_hidden_layers)
    trainer.skip_layers(first, [*data[0].input_ids(), *data[1].input_ids()])
    return trainer


def _alone(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows for `collate_packed` that hold one dialogue each."""
    return [{**row, "seq_lengths": [len(row["input_ids"])]} for row in rows]


def _packed(rows: Sequence[dict[str, Any]], settings: SftSettings) -> Dataset:
    """Joins rows by best fit; none is cut, since all fit the window."""
    columns = [{name: row[name] for name in ("input_ids", "labels")} for row in rows]
    return pack_dataset(Dataset.from_list(columns), settings.max_length, "bfd")
