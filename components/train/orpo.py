"""Odds ratio preference optimization: an adapter that learns better answers over worse ones."""

import os
import random
from collections.abc import Sequence
from pathlib import Path

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed
from trl import SFTConfig

from components.core.errors import TrainingError
from components.core.json_lines import read_jsonl
from components.core.schemas import LossPoint, PreferencePair
from components.prepare.subset import Subset
from components.train.adapted_model import (
    adapt,
    check_adapter,
    first_adapted_layer,
    load_base,
    load_tokenizer,
)
from components.train.adapter_shape import check_shape
from components.train.checkpoints import checkpoint_place
from components.train.orpo_trainer import OrpoTrainer, margins_after
from components.train.preference_gain import OrpoSummary, gain, preferences
from components.train.settings import OrpoSettings
from components.train.tokenized_pairs import TokenizedPairs, collate_pairs, tokenize_pairs
from components.train.training_run import TrainingPaths, arguments, run_key, summary, train


def align(settings: OrpoSettings, paths: TrainingPaths, start: Path | None = None) -> OrpoSummary:
    """Trains an adapter on preference pairs, going on from the last checkpoint of the same run.

    Args:
        settings: The recipe.
        paths: `train` and `test` hold `PreferencePair` rows; `adapter` appears only when training
            is done.
        start: The adapter to go on from, usually that of SFT; None begins a new one.

    Returns:
        The losses and sizes of the run, and how well the held-out pairs were told apart before
        and after.

    Raises:
        TrainingError: There are no pairs, the loss is not finite, or the recipe does not fit the
            starting adapter, the base model or the device.
        MissingModelError: The base model or the starting adapter is not there.
    """
    set_seed(settings.seed)
    tokenizer = load_tokenizer(paths.base)
    if start:
        check_adapter(start, paths.base)
    pairs, heldout = _pairs(settings, paths, tokenizer)
    place = checkpoint_place(_key(settings, paths, start), paths.home, os.environ)
    # Made before the model: under ZeRO-3 they tell transformers to shard it.
    config = arguments(settings, place.folder)
    model = load_base(settings, paths.base)
    if start:
        check_shape(start, settings.lora, model.config.num_hidden_layers)
    trainer = _trainer(settings, config, model, tokenizer, start, (pairs, heldout))
    points = train(trainer, settings, paths, place)
    return _summary(trainer, points, pairs)


def _pairs(
    settings: OrpoSettings, paths: TrainingPaths, tokenizer: PreTrainedTokenizerBase
) -> tuple[TokenizedPairs, TokenizedPairs]:
    train_pairs, test_pairs = _read(paths.train), _read(paths.test)
    held = random.Random(settings.seed).sample(
        test_pairs, min(settings.heldout_rows, len(test_pairs))
    )
    pairs = tokenize_pairs(train_pairs, tokenizer, settings.max_length)
    return pairs, tokenize_pairs(held, tokenizer, settings.max_length, len(pairs.rows))


def _read(path: Path) -> Sequence[PreferencePair]:
    pairs = read_jsonl(path, PreferencePair)
    if not pairs:
        raise TrainingError(
            f"{path} holds no preference pairs; make some with "
            "`python -m components.prepare.preferences`."
        )
    return pairs


def _key(settings: OrpoSettings, paths: TrainingPaths, start: Path | None) -> str:
    begins = [start / "adapter_model.safetensors"] if start else []
    inputs = (paths.train, paths.test, paths.base / "config.json", *begins)
    return run_key(settings, Subset(), inputs)


def _trainer(
    settings: OrpoSettings,
    config: SFTConfig,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    start: Path | None,
    data: tuple[TokenizedPairs, TokenizedPairs],
) -> OrpoTrainer:
    pairs, heldout = data
    trainer = OrpoTrainer(
        model=adapt(model, settings, start),
        args=config,
        train_dataset=Dataset.from_list(pairs.pairs),
        eval_dataset=Dataset.from_list(heldout.pairs),
        data_collator=collate_pairs,
        processing_class=tokenizer,
    )
    trainer.odds_weight = settings.odds_weight
    first = first_adapted_layer(settings.lora, model.config.num_hidden_layers)
    trainer.skip_layers(first, [*pairs.rows, *heldout.rows])
    return trainer


def _summary(
    trainer: OrpoTrainer, points: Sequence[LossPoint], pairs: TokenizedPairs
) -> OrpoSummary:
    training = summary(points, pairs.rows, pairs.too_long)
    history = trainer.state.log_history
    before, after = (margins_after(history, step) for step in (0, training.best_update))
    return OrpoSummary(
        training=training,
        train_pairs=len(pairs.pairs),
        heldout_pairs=len(after),
        before=preferences(before),
        after=preferences(after),
        gain=gain(after, before),
    )
