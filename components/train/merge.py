"""Merges an adapter into its base model's weights and checks that nothing was lost."""

import os
import shutil
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedModel

from components.core.errors import TrainingError
from components.core.licence_files import LICENCE_FILES
from components.train.adapted_model import load_adapted

TOLERANCE = 1e-3
"""Largest difference of float32 logits, relative to their largest magnitude."""


def merge(base: Path, adapter: Path, merged: Path) -> float:
    """Writes base plus adapter as one bfloat16 checkpoint that serves without PEFT.

    Adapters served as such run at a fifth of the speed on a CPU (DESIGN section 5).

    Args:
        base: The base model's folder.
        adapter: The adapter's folder.
        merged: Where the checkpoint goes; it appears whole or not at all.

    Returns:
        The largest relative difference between the logits of adapter-on-base and merged, both in
        float32, on a fixed batch.

    Raises:
        MissingModelError: A folder is not a model or an adapter.
        TrainingError: The adapter is another base model's, or the logits differ by more than
            `TOLERANCE`.
    """
    adapted = load_adapted(base, adapter, torch.float32)
    before = _logits(adapted)
    whole = adapted.merge_and_unload()
    difference = float((_logits(whole) - before).abs().max() / before.abs().max())
    if difference > TOLERANCE:
        raise TrainingError(
            f"Merging {adapter} changed the logits by {difference:.1e} of their range (limit "
            f"{TOLERANCE:.0e}); was it trained on {base}?"
        )
    save_model(whole, base, merged)
    return difference


@torch.inference_mode()
def _logits(model: torch.nn.Module) -> Tensor:
    vocabulary = model.get_input_embeddings().num_embeddings  # type: ignore[operator]
    ids = torch.arange(2 * 32).reshape(2, 32) * 97 % vocabulary
    logits: Tensor = model(input_ids=ids).logits
    return logits


def save_model(model: PreTrainedModel, base: Path, merged: Path) -> None:
    """Writes a model in bfloat16 with the tokenizer, chat template and licence texts of another.

    Args:
        model: The model; its type is changed in place.
        base: The folder that has them.
        merged: Where the checkpoint goes; it appears whole or not at all.
    """
    partial = merged.with_name(merged.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.to(torch.bfloat16).save_pretrained(partial)
    AutoTokenizer.from_pretrained(base).save_pretrained(partial)
    texts = (path for pattern in LICENCE_FILES for path in base.glob(pattern))
    for path in (base / "chat_template.jinja", *texts):
        shutil.copyfile(path, partial / path.name)
    shutil.rmtree(merged, ignore_errors=True)
    os.replace(partial, merged)
