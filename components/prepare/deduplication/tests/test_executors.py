"""The engine: mapping on several processes, resuming, and the same recipe on Ray."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from components.core.errors import BadInputError
from components.core.json_lines import read_jsonl
from components.core.schemas import Dialogue, QuarantinedRow
from components.prepare.deduplication.near_duplicates import remove_near_duplicates
from components.prepare.deduplication.settings import (
    ExecutorSettings,
    LeakageSettings,
    NearDuplicateSettings,
    SplitSettings,
)
from components.prepare.deduplication.shards import map_shards, write_shards
from components.prepare.deduplication.split import split_dialogues
from components.prepare.deduplication.tests.dialogues import LONG_ANSWER, make, question


class Step:
    """Rejects what is odd, counts what is even, and leaves a trace of each shard it sees."""

    def __init__(self, trace: Path, stumble: str = "") -> None:
        self.trace, self.stumble = trace, stumble

    def __call__(
        self, rows: Iterable[Dialogue]
    ) -> Iterator[Dialogue | QuarantinedRow | Counter[str]]:
        for row in rows:
            with self.trace.open("a", encoding="utf-8") as file:
                file.write(row.dialogue_id + "\n")
            if row.dialogue_id == self.stumble:
                raise BadInputError("The third row is bad; mend it.")
            if int(row.dialogue_id) % 2:
                yield QuarantinedRow(file="f", line=1, reason="Odd.", kind="odd", row=None)
            else:
                yield row
                yield Counter(even=1)


@pytest.mark.parametrize("workers", [1, 2])
def test_map_keeps_rejects_and_counts(tmp_path: Path, workers: int) -> None:
    shards = write_shards((make(str(n), "Да?") for n in range(10)), tmp_path / "in", 4)
    executor = ExecutorSettings(workers=workers)
    mapped = map_shards(shards, tmp_path / "out", Step(tmp_path / "trace"), executor, "step")
    rows = [row.dialogue_id for path in mapped.paths for row in read_jsonl(path, Dialogue)]
    assert rows == ["0", "2", "4", "6", "8"]
    assert (mapped.kept, mapped.quarantined, mapped.counts) == (5, {"odd": 5}, {"even": 5})
    assert sum(len(read_jsonl(path, QuarantinedRow)) for path in mapped.quarantine) == 5


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    shards = write_shards((make(str(n), "Да?") for n in range(9)), tmp_path / "in", 3)
    one, trace = ExecutorSettings(workers=1), tmp_path / "trace"
    with pytest.raises(BadInputError, match="third row is bad"):
        map_shards(shards, tmp_path / "out", Step(trace, stumble="5"), one, "step")
    trace.unlink()
    assert map_shards(shards, tmp_path / "out", Step(trace), one, "step").kept == 5
    assert trace.read_text("utf-8").split() == ["3", "4", "5", "6", "7", "8"]
    trace.unlink()
    map_shards(shards, tmp_path / "out", Step(trace), one, "step")
    assert not trace.exists()
    map_shards(shards, tmp_path / "out", Step(trace), one, "another step")
    assert len(trace.read_text("utf-8").split()) == 9


def rows() -> Iterator[Dialogue]:
    for number in range(60):
        yield make(f"d{number}", question(number), user=f"u{number // 2}")
    for number in range(20):
        yield make(f"near{number}", f"Ставка {number % 4}?", f"{LONG_ANSWER} {number % 4}")


def recipe(folder: Path, executor: ExecutorSettings) -> tuple[bytes, bytes, bytes]:
    """Near-duplicates and split, as the data step runs them."""
    shards = write_shards(rows(), folder / "in", 30)
    kept = remove_near_duplicates(shards, folder / "near", NearDuplicateSettings(), executor)
    settings = SplitSettings(train_rows=20, test_rows=10)
    dataset = split_dialogues(kept.paths, folder / "split", settings, LeakageSettings(), executor)
    return (
        dataset.train.read_bytes(),
        dataset.test.read_bytes(),
        kept.removed_path.read_bytes(),
    )


def test_processes_change_nothing(tmp_path: Path) -> None:
    one, two = (recipe(tmp_path / str(n), ExecutorSettings(workers=n)) for n in (1, 2))
    assert one == two


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_ray_gives_the_same_files_and_the_same_error(tmp_path: Path) -> None:
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        on_ray = ExecutorSettings(executor="ray", workers=2, memory_gib=0.1)
        local = ExecutorSettings(workers=1)
        assert recipe(tmp_path / "ray", on_ray) == recipe(tmp_path / "local", local)
        shards = write_shards((make(str(n), "Да?") for n in range(4)), tmp_path / "bad", 2)
        with pytest.raises(BadInputError, match="third row is bad"):
            map_shards(shards, tmp_path / "out", Step(tmp_path / "t", stumble="2"), on_ray, "step")
    finally:
        ray.shutdown()
