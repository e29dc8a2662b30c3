"""JSONL shards of dialogues: written from a stream, and mapped on all cores."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from components.core.json_lines import stream_rows, write_jsonl
from components.core.schemas import Dialogue, QuarantinedRow
from components.prepare.deduplication.engine import fresh_folder, run_tasks
from components.prepare.deduplication.settings import ExecutorSettings

ROWS_PER_SHARD = 5_000
"""Small enough that two cores share 10,700 rows, large enough that starting a task is nothing."""

Step = Callable[[Iterable[Dialogue]], Iterable[Dialogue | QuarantinedRow | Counter[str]]]
"""What `map_shards` runs: dialogues in; dialogues, rejected rows and counts out, in any order."""


@dataclass(frozen=True)
class MappedShards:
    """What a step made of the shards."""

    paths: tuple[Path, ...]
    """The kept rows, one file for each input."""
    quarantine: tuple[Path, ...]
    """The rejected rows, one file for each input, JSON lines of QuarantinedRow."""
    kept: int
    quarantined: Counter[str]
    """Rejected rows by kind."""
    counts: Counter[str]
    """The sum of the counters that the step yielded."""


def write_shards(
    rows: Iterable[Dialogue], directory: Path, rows_per_shard: int = ROWS_PER_SHARD
) -> tuple[Path, ...]:
    """Writes a stream of dialogues as JSONL shards, in its order; shards of a former run go.

    Args:
        rows: The dialogues; only one is held at a time.
        directory: Where to; made where missing.
        rows_per_shard: Rows of every shard but the last.

    Returns:
        The files; none for no rows.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.glob("rows-*.jsonl"):
        old.unlink()
    stream, paths = iter(rows), list[Path]()
    for first in stream:
        paths.append(directory / f"rows-{len(paths):05d}.jsonl")
        write_jsonl(paths[-1], _from(first, islice(stream, rows_per_shard - 1)))
    return tuple(paths)


def _from(first: Dialogue, rest: Iterable[Dialogue]) -> Iterator[Dialogue]:
    yield first
    yield from rest


def map_shards(
    inputs: Sequence[Path], output: Path, step: Step, settings: ExecutorSettings, key: str
) -> MappedShards:
    """Runs a step over every shard on all cores; a killed run goes on with the shards it lacks.

    Args:
        inputs: JSONL shards of Dialogue; what each becomes does not depend on the others.
        output: A folder of this step alone: it is emptied when inputs or `key` have changed.
        step: Must be picklable (a module's function, or an object built from frozen settings).
        settings: Where to run.
        key: The step's name and settings as text; another key makes everything anew.

    Returns:
        The output shards, in the order of the inputs, and what was counted.

    Raises:
        SchemaError: A line of a shard is no Dialogue; names file and line.
    """
    inputs = tuple(path for path in inputs if path.stat().st_size)
    fresh_folder(output, key, inputs)
    if inputs:
        run_tasks(_MapShard(inputs, output, step), len(inputs), output / "tasks", settings)
    return _mapped(output, len(inputs))


def _mapped(output: Path, shards: int) -> MappedShards:
    told = [json.loads(_file(output, "counts", rank).read_text("utf-8")) for rank in range(shards)]
    return MappedShards(
        paths=tuple(_file(output, "rows", rank) for rank in range(shards)),
        quarantine=tuple(_file(output, "quarantine", rank) for rank in range(shards)),
        kept=sum(each["kept"] for each in told),
        quarantined=sum((Counter(each["quarantined"]) for each in told), Counter()),
        counts=sum((Counter(each["counts"]) for each in told), Counter()),
    )


def _file(output: Path, name: str, rank: int) -> Path:
    return output / f"{name}-{rank:05d}.{'json' if name == 'counts' else 'jsonl'}"


class _MapShard(PipelineStep):
    """Rank r maps shard r."""

    name = "map shard"
    type = "Finist"

    def __init__(self, inputs: Sequence[Path], output: Path, step: Step) -> None:
        super().__init__()
        self.inputs, self.output, self.step = inputs, output, step

    def run(
        self, data: Iterator[Document] | None = None, rank: int = 0, world_size: int = 1
    ) -> None:
        del data, world_size
        names = [_file(self.output, name, rank) for name in ("rows", "quarantine", "counts")]
        partial = [path.with_name(path.name + ".partial") for path in names]
        with (
            partial[0].open("w", encoding="utf-8") as kept,
            partial[1].open("w", encoding="utf-8") as rejected,
        ):
            told = _deal(self.step(stream_rows(self.inputs[rank], Dialogue)), kept, rejected)
        partial[2].write_text(json.dumps(told), encoding="utf-8")
        for before, after in zip(partial, names, strict=True):
            os.replace(before, after)


def _deal(
    rows: Iterable[Dialogue | QuarantinedRow | Counter[str]], kept: IO[str], rejected: IO[str]
) -> dict[str, object]:
    """Writes each row to its file and gives what was counted."""
    counts, quarantined, number = Counter[str](), Counter[str](), 0
    for row in rows:
        if isinstance(row, Dialogue):
            kept.write(row.model_dump_json() + "\n")
            number += 1
        elif isinstance(row, QuarantinedRow):
            rejected.write(row.model_dump_json() + "\n")
            quarantined[row.kind] += 1
        else:
            counts.update(row)
    return {"kept": number, "quarantined": quarantined, "counts": counts}
