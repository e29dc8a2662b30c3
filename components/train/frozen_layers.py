"""Layers below the first adapted one: run once per dialogue, never differentiated.

With `lora.last_layers` set, the lower layers of the model are the same at every update, so their
output for a row is a constant of the row. It is computed once and kept; an update then costs only
the upper layers, forward and backward.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from tqdm import tqdm
from transformers import LlamaModel


def run_layers(model: LlamaModel, hidden: Tensor, layers: slice) -> Tensor:
    """Runs some of a Llama's layers under a causal mask.

    Rows must be padded on the right: then causality alone keeps the padding out of every real
    position, and no mask is needed.

    Args:
        model: The transformer without its head.
        hidden: What goes in, `(batch, length, width)`.
        layers: Which layers.

    Returns:
        What the last of them gives, same shape, not normalized.
    """
    positions = torch.arange(hidden.shape[1], device=hidden.device)[None]
    rotary = model.rotary_emb(hidden, positions)
    for layer in model.layers[layers]:
        hidden = layer(
            hidden, attention_mask=None, position_ids=positions, position_embeddings=rotary
        )
    return hidden


@torch.inference_mode()
def lower_outputs(
    model: LlamaModel, rows: Sequence[Sequence[int]], first: int, batch_size: int = 16
) -> list[Tensor]:
    """Computes the frozen layers' output for every row.

    Args:
        model: The transformer without its head.
        rows: Token ids.
        first: How many layers are frozen.
        batch_size: Rows at a time; rows of like length go together.

    Returns:
        One tensor `(length, width)` per row in host memory, in the order of `rows`.
    """
    outputs: dict[int, Tensor] = {}
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    for start in tqdm(range(0, len(order), batch_size), desc="frozen layers", unit="batch"):
        indices = order[start : start + batch_size]
        ids = pad([rows[index] for index in indices], 0).to(model.device)
        hidden = run_layers(model, model.embed_tokens(ids), slice(first))
        for position, index in enumerate(indices):
            outputs[index] = hidden[position, : len(rows[index])].to("cpu", copy=True)
    return [outputs[index] for index in range(len(rows))]


def pad(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    """Stacks rows of integers, padded on the right.

    Args:
        rows: Rows of different lengths.
        value: What to pad with.

    Returns:
        An int64 tensor `(rows, longest)`.
    """
    tensors = [torch.tensor(row) for row in rows]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=value)
