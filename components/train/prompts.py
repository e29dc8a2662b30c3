"""What stands before an answer, batched as generation wants it."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from components.core.schemas import Dialogue, Turn


def prompt_turns(dialogue: Dialogue) -> tuple[Turn, ...]:
    """Gives the turns before a dialogue's last answer."""
    last = max(i for i, turn in enumerate(dialogue.turns) if turn.role == "assistant")
    return dialogue.turns[:last]


def left_padded(rows: Sequence[Sequence[int]]) -> dict[str, Tensor]:
    """Stacks prompts so that all end in the last column.

    Args:
        rows: Token ids.

    Returns:
        `input_ids` and `attention_mask`, both `(rows, longest)`.
    """
    ids = [torch.tensor(row) for row in rows]
    masks = [torch.ones_like(row) for row in ids]
    return {
        "input_ids": pad_sequence(ids, batch_first=True, padding_side="left"),
        "attention_mask": pad_sequence(masks, batch_first=True, padding_side="left"),
    }
