"""Deals dialogues to training and test by whole groups, so that the test asks something new."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from numpy.typing import NDArray

from components.core.errors import SplitError
from components.core.schemas import Dialogue
from components.core.whole_files import whole_file
from components.prepare.deduplication.engine import fresh_folder, run_tasks
from components.prepare.deduplication.groups import choose_test, group_rows
from components.prepare.deduplication.overlap import TestQuestions
from components.prepare.deduplication.questions import (
    SPLITS,
    TEST,
    TRAIN,
    UNASSIGNED,
    Questions,
    read_questions,
)
from components.prepare.deduplication.settings import (
    ExecutorSettings,
    LeakageSettings,
    SplitSettings,
)

_ROUNDS = 20

Rows = NDArray[np.int64]
Splits = NDArray[np.int8]


@dataclass(frozen=True)
class SplitDataset:
    """The two files."""

    train: Path
    test: Path
    train_rows: int
    test_rows: int
    groups: int
    largest_group: int
    """Rows of the largest group; near all rows means that the keys tie everything together."""


def split_dialogues(
    inputs: Sequence[Path],
    output: Path,
    settings: SplitSettings,
    leakage: LeakageSettings,
    executor: ExecutorSettings,
) -> SplitDataset:
    """Writes `train.jsonl` and `test.jsonl`; a row that came with a split keeps it.

    Rows that share one of `group_by` stay together. Near questions do too, where it matters:
    the chosen test is compared with all other rows exactly as the leakage check does, pairs found
    become one group, and the test is chosen anew until none is found.

    Args:
        inputs: JSONL shards of Dialogue.
        output: A folder of this stage alone; a killed run goes on with the tasks it lacks.
        settings: How many rows, which groups and the seed.
        leakage: Which questions are near.
        executor: Where to run; the result does not depend on it.

    Returns:
        Where the files are and what they hold; each row names its split.

    Raises:
        SplitError: Training or test would have fewer rows than asked; says how many are missing.
        SchemaError: A line of a shard is no Dialogue; names file and line.
    """
    inputs = tuple(path for path in inputs if path.stat().st_size)
    if not inputs:
        raise SplitError(_missing(settings, 0, 0))
    key = repr((settings.model_dump_json(), leakage.model_dump_json()))
    fresh_folder(output, key, inputs)
    questions = read_questions(inputs, output, leakage.ngram_words, executor)
    splits, groups = _assigned(questions, settings, leakage)
    train_rows, test_rows = int((splits == TRAIN).sum()), int((splits == TEST).sum())
    if train_rows < settings.train_rows or test_rows < settings.test_rows:
        raise SplitError(_missing(settings, train_rows, test_rows))
    np.save(output / "splits.npy", splits)
    deal = _DealShard(inputs, output, questions.offsets)
    run_tasks(deal, len(inputs), output / "tasks-deal", executor)
    train, test = (output / f"{SPLITS[split]}.jsonl" for split in (TRAIN, TEST))
    for split, path in ((TRAIN, train), (TEST, test)):
        _concatenate((_part(output, split, rank) for rank in range(len(inputs))), path)
    largest = int(np.bincount(groups).max())
    return SplitDataset(train, test, train_rows, test_rows, int(groups.max()) + 1, largest)


def _missing(settings: SplitSettings, train: int, test: int) -> str:
    short = [
        f"{rows:,} {name} dialogues of the {wanted:,} asked for, {wanted - rows:,} too few"
        for name, rows, wanted in (
            ("training", train, settings.train_rows),
            ("test", test, settings.test_rows),
        )
        if rows < wanted
    ]
    return (
        f"After cleaning and deduplication there are {' and '.join(short)}; add dialogues, or "
        "ask for fewer with `train_rows` and `test_rows`."
    )


def _assigned(
    questions: Questions, settings: SplitSettings, leakage: LeakageSettings
) -> tuple[Splits, Rows]:
    """Each row's split and group."""
    intents = np.unique(questions.intents, return_inverse=True)[1].astype(np.int64)
    keys = [questions.keys[name] for name in settings.group_by]
    none = np.empty(0, dtype=np.int64)
    pairs = (none, none)
    for _ in range(_ROUNDS):
        groups = group_rows(keys, len(intents), pairs)
        splits = choose_test(groups, intents, questions.splits, settings.test_rows, settings.seed)
        if "question" not in settings.group_by:
            break
        found = _near_pairs(questions, splits, leakage)
        if not len(found[0]):
            break
        pairs = (np.concatenate((pairs[0], found[0])), np.concatenate((pairs[1], found[1])))
    return splits, groups


def _near_pairs(
    questions: Questions, splits: Splits, leakage: LeakageSettings
) -> tuple[Rows, Rows]:
    """Near questions in both splits; of rows that came with their splits nothing can be mended."""
    test, train = np.flatnonzero(splits == TEST), np.flatnonzero(splits == TRAIN)
    index = TestQuestions(questions.sets.take(test), questions.products[test], leakage)
    found = index.overlaps(questions.sets, questions.products)
    one, other = test[found.test], found.train
    free = (questions.splits[one] == UNASSIGNED) | (questions.splits[other] == UNASSIGNED)
    apart = np.isin(other, train) & free
    return one[apart], other[apart]


def _part(output: Path, split: int, rank: int) -> Path:
    return output / f"{SPLITS[split]}-{rank:05d}.jsonl"


class _DealShard(PipelineStep):
    """Rank r writes the rows of shard r to a file for each split."""

    name = "deal shard"
    type = "Finist"

    def __init__(self, inputs: Sequence[Path], output: Path, offsets: Rows) -> None:
        super().__init__()
        self.inputs, self.output, self.offsets = inputs, output, offsets

    def run(
        self, data: Iterator[Document] | None = None, rank: int = 0, world_size: int = 1
    ) -> None:
        del data, world_size
        splits = np.load(self.output / "splits.npy", mmap_mode="r")
        own = splits[self.offsets[rank] : self.offsets[rank + 1]].tolist()
        with (
            self.inputs[rank].open("rb") as lines,
            _part(self.output, TRAIN, rank).open("wb") as train,
            _part(self.output, TEST, rank).open("wb") as test,
        ):
            for line, split in zip(lines, own, strict=True):
                (test if split == TEST else train).write(_with_split(line, SPLITS[split]))


def _with_split(line: bytes, split: str) -> bytes:
    """The same line where it names its split already."""
    if f'"split":"{split}"'.encode() in line:
        return line
    dialogue = Dialogue.model_validate_json(line).model_copy(update={"split": split})
    return dialogue.model_dump_json().encode() + b"\n"


def _concatenate(parts: Iterable[Path], path: Path) -> None:
    with whole_file(path) as partial, partial.open("wb") as whole:
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, whole)
