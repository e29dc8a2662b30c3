"""What the split needs of every row, read on all cores and held as numbers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from numpy.typing import NDArray

from components.core.json_lines import stream_rows
from components.core.schemas import Dialogue, Split
from components.prepare.deduplication.engine import run_tasks
from components.prepare.deduplication.leakage import product_number
from components.prepare.deduplication.settings import ExecutorSettings, GroupKey
from components.prepare.deduplication.shingles import (
    Hashes,
    ShingleSets,
    concatenate,
    gather,
    hash64,
    shingles,
)

SPLITS: tuple[Split, ...] = ("unassigned", "train", "test")
"""A split's number is its place here."""
UNASSIGNED, TRAIN, TEST = range(3)

_COLUMNS = ("dialogue", "user", "family", "question", "product", "split")


@dataclass(frozen=True)
class Questions:
    """The columns of all rows, in the order of the shards."""

    offsets: NDArray[np.int64]
    """First row of each shard, and behind the last the number of rows."""
    keys: dict[GroupKey, Hashes]
    """Hash of what may tie rows together; 0 ties to nothing."""
    products: NDArray[np.int64]
    intents: NDArray[np.bytes_]
    splits: NDArray[np.int8]
    sets: ShingleSets
    """N-grams of each question."""


def read_questions(
    inputs: Sequence[Path], folder: Path, ngram_words: int, executor: ExecutorSettings
) -> Questions:
    """Reads the shards.

    Args:
        inputs: Shards of dialogues, none empty.
        folder: Where tasks leave what they read; a killed run goes on from there.
        ngram_words: Words of an n-gram.
        executor: Where to run.

    Returns:
        About 200 bytes a row.

    Raises:
        SchemaError: A line of a shard is no Dialogue; names file and line.
    """
    (folder / "questions").mkdir(exist_ok=True)
    run_tasks(
        _ReadShard(inputs, folder, ngram_words), len(inputs), folder / "tasks-questions", executor
    )
    parts = []
    for rank in range(len(inputs)):
        with np.load(_file(folder, rank)) as part:
            parts.append({name: part[name] for name in part.files})
    return _joined(parts)


def _joined(parts: list[dict[str, NDArray[Any]]]) -> Questions:
    column = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Questions(
        offsets=np.cumsum([0, *(len(part["split"]) for part in parts)], dtype=np.int64),
        keys={
            "dialogue": column["dialogue"],
            "user": column["user"],
            "family": column["family"],
            "question": column["question"],
        },
        products=column["product"].astype(np.int64),
        intents=column["intents"],
        splits=column["split"].astype(np.int8),
        sets=concatenate(ShingleSets(part["values"], part["sizes"]) for part in parts),
    )


def _file(folder: Path, rank: int) -> Path:
    return folder / "questions" / f"{rank:05d}.npz"


class _ReadShard(PipelineStep):
    """Rank r reads shard r."""

    name = "read questions"
    type = "Finist"

    def __init__(self, inputs: Sequence[Path], folder: Path, ngram_words: int) -> None:
        super().__init__()
        self.inputs, self.folder, self.ngram_words = inputs, folder, ngram_words

    def run(
        self, data: Iterator[Document] | None = None, rank: int = 0, world_size: int = 1
    ) -> None:
        del data, world_size
        numbers, intents, sets = [], [], []
        for dialogue in stream_rows(self.inputs[rank], Dialogue):
            grams = shingles(dialogue.question, self.ngram_words)
            numbers.append(_numbers(dialogue, grams))
            intents.append(dialogue.intent.encode())
            sets.append(grams)
        columns = np.array(numbers, dtype=np.uint64).T
        gathered = gather(sets)
        np.savez(
            _file(self.folder, rank),
            intents=np.array(intents),
            values=gathered.values,
            sizes=gathered.sizes,
            **dict(zip(_COLUMNS, columns, strict=True)),
        )


def _numbers(dialogue: Dialogue, grams: Hashes) -> tuple[int, ...]:
    """In the order of `_COLUMNS`. Questions with the same n-grams are the same question."""
    return (
        hash64(dialogue.dialogue_id),
        hash64(dialogue.user_id) if dialogue.user_id else 0,
        hash64(dialogue.phrasing_family) if dialogue.phrasing_family else 0,
        hash64(f"{dialogue.product} {grams.tobytes().hex()}"),
        product_number(dialogue.product),
        SPLITS.index(dialogue.split),
    )
