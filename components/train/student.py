"""A student of fewer layers: a teacher without the layers that do least."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import ModuleList
from torch.nn.functional import cosine_similarity
from transformers import AutoModelForCausalLM, PreTrainedModel

from components.core.errors import TrainingError
from components.train.frozen_layers import pad
from components.train.merge import save_model

BATCH = 8
"""Rows at a time that are run through the teacher."""


def write_student(
    teacher: Path, layers: int, rows: Sequence[Sequence[int]], student: Path
) -> tuple[int, ...]:
    """Writes a checkpoint of some of a teacher's layers, its embeddings, head and tokenizer.

    The first and the last layer stay, and of the others those that change the hidden state most.
    Layers spaced evenly start from a far higher loss (see the README).

    Args:
        teacher: The teacher's folder.
        layers: How many layers the student has, 2 or more.
        rows: Token ids of dialogues on which layers are compared.
        student: Where the checkpoint goes, bfloat16; it appears whole or not at all.

    Returns:
        The numbers of the teacher's layers that it has.

    Raises:
        TrainingError: The teacher has fewer layers.
    """
    model = AutoModelForCausalLM.from_pretrained(teacher, dtype=torch.float32)
    there = model.config.num_hidden_layers
    if layers > there:
        raise TrainingError(
            f"student_layers is {layers}, but the teacher {teacher} has {there} layers; take fewer."
        )
    middle = influences(model, rows)[1:-1]
    most = sorted(range(1, there - 1), key=lambda number: -middle[number - 1])[: layers - 2]
    kept = (0, *sorted(most), there - 1)
    model.model.layers = ModuleList(model.model.layers[number] for number in kept)
    model.config.num_hidden_layers = layers
    save_model(model, teacher, student)
    return kept


@torch.inference_mode()
def influences(model: PreTrainedModel, rows: Sequence[Sequence[int]]) -> list[float]:
    """Measures how much each layer changes what goes through it.

    Args:
        model: A causal language model.
        rows: Token ids.

    Returns:
        One number a layer: 1 minus the cosine of the hidden state before and after it, the mean
        over tokens (block influence: Men et al. 2024, arXiv:2403.03853, equation 1).
    """
    sums = torch.zeros(model.config.num_hidden_layers)
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        real = pad([[1] * len(row) for row in part], 0).bool()
        states: Sequence[Tensor] = model(
            input_ids=pad(part, 0), output_hidden_states=True, use_cache=False
        ).hidden_states
        for number, (before, after) in enumerate(pairwise(states)):
            sums[number] += (1 - cosine_similarity(before, after, dim=-1))[real].sum()
    shares: list[float] = (sums / sum(map(len, rows))).tolist()
    return shares
