"""Removes near-duplicates: LSH finds candidates, exact Jaccard similarity decides."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from components.core.json_lines import write_jsonl
from components.core.schemas import Row
from components.core.whole_files import whole_file
from components.prepare.deduplication.engine import fresh_folder
from components.prepare.deduplication.settings import ExecutorSettings, NearDuplicateSettings
from components.prepare.deduplication.shingles import ShingleSets, concatenate
from components.prepare.deduplication.signatures import write_signatures

_COMPARED = 64
"""Kept rows of one bucket's group that a row is compared with: bounds a group's cost."""

Rows = NDArray[np.int64]


class RemovedRow(Row):
    """A dialogue that went because it is nearly another."""

    dialogue_id: str
    kept_id: str
    """The dialogue that stays, at least as similar as the threshold."""
    source: str
    """Of the row that went."""
    similarity: float = Field(ge=0, le=1)
    """Jaccard similarity of the two sets of word n-grams."""


@dataclass(frozen=True)
class Deduplicated:
    """The dialogues without near-duplicates."""

    paths: tuple[Path, ...]
    """One shard for each input; a shard of which all rows went is empty."""
    removed_path: Path
    """JSON lines of RemovedRow."""
    kept: int
    removed: int
    removed_by_source: Counter[str]


@dataclass(frozen=True)
class _Index:
    """What is known of all rows; a row's number is its place in the shards, read in order."""

    offsets: Rows
    """First row of each shard, and behind the last the number of rows."""
    ids: NDArray[np.bytes_]
    sources: NDArray[np.bytes_]
    protected: NDArray[np.bool_]
    test: NDArray[np.bool_]
    sets: ShingleSets


def remove_near_duplicates(
    inputs: Sequence[Path],
    output: Path,
    settings: NearDuplicateSettings,
    executor: ExecutorSettings,
) -> Deduplicated:
    """Leaves out each dialogue that is nearly one kept before it; never one without a kept twin.

    First come rows of `keep_sources`, then rows with `split: test`, then all others, each in the
    order of the shards. MinHash signatures and LSH buckets (Broder 1997; Leskovec et al., Mining
    of Massive Datasets, chapter 3) are datatrove's; a candidate pair is then compared exactly.

    Args:
        inputs: JSONL shards of Dialogue.
        output: A folder of this stage alone; a killed run goes on with the tasks it lacks.
        settings: What counts as near.
        executor: Where to run; the result does not depend on it.

    Returns:
        Shards with the kept lines, unchanged, and the list of those that went.

    Raises:
        SchemaError: A line of a shard is no Dialogue; names file and line.
    """
    inputs = tuple(path for path in inputs if path.stat().st_size)
    fresh_folder(output, settings.model_dump_json(), inputs)
    removed_path = output / "removed.jsonl"
    if not inputs:
        write_jsonl(removed_path, [])
        return Deduplicated((), removed_path, 0, 0, Counter())
    write_signatures(inputs, output, settings, executor)
    index = _read_index(output / "rows", len(inputs))
    removed = _removed(index, _groups(output / "pairs", index.offsets), settings.threshold)
    write_jsonl(removed_path, _listed(index, removed))
    paths = [output / f"kept-{rank:05d}.jsonl" for rank in range(len(inputs))]
    for rank, (source, path) in enumerate(zip(inputs, paths, strict=True)):
        _copy_kept(source, path, int(index.offsets[rank]), removed)
    by_source = Counter(index.sources[row].decode() for row in removed)
    kept = len(index.ids) - len(removed)
    return Deduplicated(tuple(paths), removed_path, kept, len(removed), by_source)


def _read_index(folder: Path, shards: int) -> _Index:
    parts: list[Mapping[str, Any]] = []
    for rank in range(shards):
        with np.load(folder / f"{rank:05d}.npz") as part:
            parts.append({name: part[name] for name in part.files})
    column = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return _Index(
        offsets=np.cumsum([0, *(len(part["ids"]) for part in parts)], dtype=np.int64),
        ids=column["ids"],
        sources=column["sources"],
        protected=column["protected"],
        test=column["test"],
        sets=concatenate(ShingleSets(part["values"], part["sizes"]) for part in parts),
    )


def _groups(folder: Path, offsets: Rows) -> tuple[Rows, Rows]:
    """Rows that meet in a bucket: row numbers, and beside each the number of its group.

    datatrove writes a group of k rows as the k - 1 pairs of neighbours, so a pair that begins
    where the one before ended belongs to the same group.
    """
    rows, groups, count = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
    for path in sorted(folder.glob("*.dups")):
        pairs = np.fromfile(path, dtype="<u4").reshape(-1, 4).astype(np.int64)
        before = offsets[pairs[:, 0]] + pairs[:, 1]
        after = offsets[pairs[:, 2]] + pairs[:, 3]
        opens = np.ones(len(pairs), dtype=bool)
        opens[1:] = before[1:] != after[:-1]
        number = count + np.cumsum(opens) - 1
        rows += [before[opens], after]
        groups += [number[opens], number]
        count += int(opens.sum())
    return np.concatenate(rows), np.concatenate(groups)


def _removed(
    index: _Index, members: tuple[Rows, Rows], threshold: float
) -> dict[int, tuple[int, float]]:
    """Row that goes -> the row that stays and their similarity."""
    removed: dict[int, tuple[int, float]] = {}
    kept: dict[int, list[int]] = defaultdict(list)
    sets = _LazySets(index.sets)
    for row, groups in _in_order(index, members):
        near = None
        if not index.protected[row]:
            candidates = sorted({other for group in groups for other in kept[group]})
            near = _first_near(row, candidates, sets, threshold)
        if near is not None:
            removed[row] = near
            continue
        for group in groups:
            if len(kept[group]) < _COMPARED:
                kept[group].append(row)
    return removed


def _in_order(index: _Index, members: tuple[Rows, Rows]) -> Iterator[tuple[int, list[int]]]:
    """Rows that share a group with others, in the order in which they are kept."""
    rows, groups = members
    rank = np.where(index.protected, 0, np.where(index.test, 1, 2))[rows]
    order = np.lexsort((groups, rows, rank))
    rows, groups = rows[order], groups[order]
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    for first, after in pairwise([*starts.tolist(), len(rows)]):
        yield int(rows[first]), groups[first:after].tolist()


class _LazySets:
    """N-grams as Python sets, made when first asked for."""

    def __init__(self, sets: ShingleSets) -> None:
        self._values = sets.values
        self._ends = np.concatenate(([0], np.cumsum(sets.sizes)))
        self._made: dict[int, frozenset[int]] = {}

    def __getitem__(self, row: int) -> frozenset[int]:
        if row not in self._made:
            part = self._values[self._ends[row] : self._ends[row + 1]]
            self._made[row] = frozenset(part.tolist())
        return self._made[row]


def _first_near(
    row: int, candidates: list[int], sets: _LazySets, threshold: float
) -> tuple[int, float] | None:
    own = sets[row] if candidates else frozenset()
    for other in candidates:
        common = len(own & sets[other])
        similarity = common / (len(own) + len(sets[other]) - common)
        if similarity >= threshold:
            return other, similarity
    return None


def _listed(index: _Index, removed: Mapping[int, tuple[int, float]]) -> Iterator[RemovedRow]:
    for row in sorted(removed):
        kept, similarity = removed[row]
        yield RemovedRow(
            dialogue_id=index.ids[row].decode(),
            kept_id=index.ids[kept].decode(),
            source=index.sources[row].decode(),
            similarity=similarity,
        )


def _copy_kept(
    source: Path, path: Path, first: int, removed: Mapping[int, tuple[int, float]]
) -> None:
    with whole_file(path) as partial, source.open("rb") as read, partial.open("wb") as written:
        written.writelines(line for row, line in enumerate(read, first) if row not in removed)
