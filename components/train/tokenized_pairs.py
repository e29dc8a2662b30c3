"""Preference pairs as token ids, with labels on the compared answers only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from components.core.errors import TrainingError
from components.core.schemas import PreferencePair, Turn
from components.train.answer_loss import collate
from components.train.tokenized_dialogues import IGNORED, ids_and_labels

Row = dict[str, Any]


@dataclass(frozen=True)
class TokenizedPairs:
    """Pairs ready for the trainer.

    Attributes:
        pairs: `chosen` and `rejected`, each a row of `input_ids`, `labels` and `index`; and the
            number of the `pair`, from 0.
        rows: Token ids of the distinct rows, in the order of their `index`.
        too_long: How many pairs were left out because one of the answers exceeds the window.
    """

    pairs: list[Row]
    rows: list[list[int]]
    too_long: int


def tokenize_pairs(
    pairs: Sequence[PreferencePair],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    first_index: int = 0,
) -> TokenizedPairs:
    """Renders both answers of each pair with the chat template.

    Args:
        pairs: What to render.
        tokenizer: Its chat template must mark answers with `{% generation %}`.
        max_length: The window, in tokens.
        first_index: The `index` of the first distinct row.

    Returns:
        The pairs, and how many did not fit.

    Raises:
        TrainingError: No pair fits.
    """
    rendered = [_both(pair, tokenizer) for pair in pairs]
    kept = [both for both in rendered if max(len(row["input_ids"]) for row in both) <= max_length]
    if not kept:
        raise TrainingError(
            f"None of {len(pairs)} preference pairs fits {max_length} tokens; raise max_length in "
            "the recipe."
        )
    indices: dict[tuple[int, ...], int] = {}
    for row in (row for both in kept for row in both):
        row["index"] = first_index + indices.setdefault(tuple(row["input_ids"]), len(indices))
    numbered = [
        {"chosen": chosen, "rejected": rejected, "pair": number}
        for number, (chosen, rejected) in enumerate(kept)
    ]
    return TokenizedPairs(numbered, [list(ids) for ids in indices], len(pairs) - len(kept))


def collate_pairs(pairs: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    """Makes a batch of pairs.

    Args:
        pairs: As in `TokenizedPairs`.

    Returns:
        What `collate` gives of 2 rows a pair, all chosen ones before all rejected ones, and the
        pairs' numbers, `pair` `(pairs,)`.
    """
    answers = [pair[name] for name in ("chosen", "rejected") for pair in pairs]
    return collate(answers) | {"pair": torch.tensor([pair["pair"] for pair in pairs])}


def _both(pair: PreferencePair, tokenizer: PreTrainedTokenizerBase) -> tuple[Row, Row]:
    chosen, rejected = (
        _answered(pair.prompt, answer, tokenizer) for answer in (pair.chosen, pair.rejected)
    )
    return chosen, rejected


def _answered(prompt: Sequence[Turn], answer: str, tokenizer: PreTrainedTokenizerBase) -> Row:
    """A row whose labels are on its last answer: earlier ones are the same in both rows."""
    turns = (*prompt, Turn(role="assistant", content=answer))
    ids, labels = ids_and_labels(turns, tokenizer)
    start = max(position for position, label in enumerate(labels) if label == IGNORED) + 1
    return {"input_ids": ids, "labels": [IGNORED] * start + ids[start:]}
