"""Dialogues as token ids, with labels on the assistant's tokens only."""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from components.core.errors import TrainingError
from components.core.rendered_dialogue import render_dialogue
from components.core.schemas import Dialogue, Turn

IGNORED = -100
"""Label of a position that carries no loss; the value PyTorch's cross_entropy skips."""


@dataclass(frozen=True)
class TokenizedDialogues:
    """Rows ready for the trainer.

    Attributes:
        rows: `input_ids` and `labels` of one length each, and the row's `index`.
        too_long: How many dialogues were left out because they exceed the window.
    """

    rows: list[dict[str, object]]
    too_long: int

    def input_ids(self) -> list[list[int]]:
        """Gives the token ids of every row."""
        return [row["input_ids"] for row in self.rows]  # type: ignore[misc]


def tokenize(
    dialogues: Sequence[Dialogue],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    first_index: int = 0,
) -> TokenizedDialogues:
    """Renders dialogues with the chat template and marks the answers.

    Args:
        dialogues: What to render.
        tokenizer: Its chat template must mark answers with `{% generation %}`.
        max_length: The window, in tokens.
        first_index: The `index` of the first row kept.

    Returns:
        The rows, and how many did not fit.

    Raises:
        TrainingError: No dialogue fits.
    """
    pairs = [ids_and_labels(dialogue.turns, tokenizer) for dialogue in dialogues]
    kept = [pair for pair in pairs if len(pair[0]) <= max_length]
    if not kept:
        raise TrainingError(
            f"None of {len(pairs)} dialogues fits {max_length} tokens; raise max_length or widen "
            "the subset in the recipe."
        )
    rows: list[dict[str, object]] = [
        {"input_ids": ids, "labels": labels, "index": first_index + number}
        for number, (ids, labels) in enumerate(kept)
    ]
    return TokenizedDialogues(rows, len(pairs) - len(kept))


def ids_and_labels(
    turns: Sequence[Turn], tokenizer: PreTrainedTokenizerBase
) -> tuple[list[int], list[int]]:
    """Renders messages up to the last answer.

    Args:
        turns: One of the assistant among them.
        tokenizer: As in `tokenize`.

    Returns:
        Token ids, and labels of the same length: the ids of all answers, `IGNORED` elsewhere.
    """
    ids, answered = render_dialogue(turns, tokenizer)
    end = max(answered) + 1
    labels = [IGNORED] * end
    for place in answered:
        labels[place] = ids[place]
    return ids[:end], labels
