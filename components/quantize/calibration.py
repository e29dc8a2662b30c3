"""Calibration rows: training dialogues, as the model saw them."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core.errors import QuantizationError
from components.core.json_lines import read_jsonl
from components.core.rendered_dialogue import render_dialogue
from components.core.schemas import Dialogue
from components.prepare.subset import Subset, select
from components.quantize.results import Calibration
from components.quantize.settings import QuantizeSettings


def choose(train: Path, subset: Subset, settings: QuantizeSettings) -> list[Dialogue]:
    """Takes dialogues of those that training took, balanced over products and intents.

    Args:
        train: JSON lines of `Dialogue`.
        subset: The recipe's subset, which training took.
        settings: How many, and the seed.

    Returns:
        At most `settings.rows` dialogues; the same arguments give the same ones.

    Raises:
        QuantizationError: The file holds no dialogue.
        RecipeError: The subset holds none.
        SchemaError: The file cannot be read, or a line is no dialogue.
    """
    dialogues = read_jsonl(train, Dialogue)
    if not dialogues:
        raise QuantizationError(f"{train} holds no dialogue to calibrate on; name training rows.")
    trained_on = select(dialogues, subset)
    return select(trained_on, Subset(rows=settings.rows, seed=settings.seed))


@dataclass(frozen=True)
class Rendered:
    """Dialogues as token ids.

    Attributes:
        rows: Token ids of each dialogue that is not too long.
        too_long: How many were left out.
    """

    rows: list[list[int]]
    too_long: int

    def summary(self) -> Calibration:
        """Says what this is, for the artifact."""
        digest = hashlib.sha256(json.dumps(self.rows).encode()).hexdigest()
        tokens = sum(map(len, self.rows))
        return Calibration(
            rows=len(self.rows), tokens=tokens, too_long=self.too_long, digest=digest
        )


def render(dialogues: Sequence[Dialogue], tokenizer: Any, max_length: int) -> Rendered:
    """Renders dialogues with the model's chat template, to the very tokens of training.

    Args:
        dialogues: What to render.
        tokenizer: The model's, with its template.
        max_length: Longer dialogues are left out.

    Returns:
        Token ids up to the end of each dialogue's last answer.

    Raises:
        QuantizationError: No dialogue fits.
    """
    rendered = [_ids(dialogue, tokenizer) for dialogue in dialogues]
    rows = [ids for ids in rendered if len(ids) <= max_length]
    if not rows:
        raise QuantizationError(
            f"None of {len(rendered)} calibration dialogues fits {max_length} tokens; raise "
            "max_length in the recipe's quantize section."
        )
    return Rendered(rows, len(rendered) - len(rows))


def _ids(dialogue: Dialogue, tokenizer: Any) -> list[int]:
    ids, answered = render_dialogue(dialogue.turns, tokenizer)
    # A template without `{% generation %}` marks no answers: then all of it counts.
    return ids[: max(answered) + 1] if answered else ids


def packed(rows: Sequence[Sequence[int]], length: int) -> Iterator[tuple[list[int], list[int]]]:
    """Puts dialogues one after another into batches of one sequence.

    Positions begin again with each dialogue, by which transformers keeps its attention within it:
    the layers see what they would see row by row, without padding, which would weigh in GPTQ's
    Hessian, and a few large products cost much less than many small ones.

    Args:
        rows: Token ids of the dialogues, none longer than `length`.
        length: Tokens of a batch at most.

    Yields:
        Token ids and positions of a batch.
    """
    ids: list[int] = []
    positions: list[int] = []
    for row in rows:
        if ids and len(ids) + len(row) > length:
            yield ids, positions
            ids, positions = [], []
        ids += row
        positions += range(len(row))
    yield ids, positions
