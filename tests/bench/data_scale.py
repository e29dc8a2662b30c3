"""How the data stage scales: clean + mask, near-duplicates, split and leakage on generated rows.

    .venv/bin/python tests/bench/data_scale.py [rows ...]      (default: 10000 100000)

Rows are made of the built-in bank's own phrases in random order. Known shares of them are
near-copies of an earlier row (to be removed), looser copies (to be kept) and rows with personal
data; precision and recall count against those. CPU and memory are sums over all processes, seen
twice a second.
"""

import json
import math
import random
import re
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import TracebackType

import psutil

from components.core.json_lines import stream_rows
from components.core.schemas import Dialogue, Turn
from components.prepare.clean_and_mask import CleanAndMask
from components.prepare.cleaning.cleaner import Cleaner
from components.prepare.deduplication.leakage import check_leakage
from components.prepare.deduplication.near_duplicates import remove_near_duplicates
from components.prepare.deduplication.settings import (
    ExecutorSettings,
    LeakageSettings,
    NearDuplicateSettings,
    SplitSettings,
)
from components.prepare.deduplication.shards import map_shards, write_shards
from components.prepare.deduplication.split import split_dialogues
from components.prepare.generate import generate
from components.prepare.load import BANK, load_bank
from components.prepare.personal_data.masking import Masker

COPIES, LOOSER, PERSONAL = 0.10, 0.05, 0.10
REMEMBERED = 2_000
EXECUTOR = ExecutorSettings()
NAMES = ("Иван Петров", "Анна Смирнова", "Олег Кузнецов", "Мария Иванова", "Павел Соколов")
STAGES = ("clean+mask", "duplicates", "split", "leakage")


def dialogues(rows: int, seed: int = 0) -> Iterator[Dialogue]:
    """Rows with ids `new-`, `copy-` and `looser-`."""
    rng, phrases, earlier = random.Random(seed), fragments(), deque[Dialogue](maxlen=REMEMBERED)
    for number in range(rows):
        draw = rng.random()
        if draw < COPIES and earlier:
            yield near(rng.choice(earlier), number, rng, edits=1, kind="copy")
        elif draw < COPIES + LOOSER and earlier:
            yield near(rng.choice(earlier), number, rng, edits=4, kind="looser")
        else:
            row = fresh(number, rng, phrases)
            earlier.append(row)
            yield row


def fragments() -> list[str]:
    """Runs of two to four words from the built-in bank's questions and answers."""
    corpus = generate(load_bank(BANK), train_rows=10_000, test_rows=700, seed=0)
    rng, found = random.Random(0), set[str]()
    for row in (*corpus.train, *corpus.test):
        words = re.findall(r"\w+", f"{row.question} {row.answer}")
        while words:
            size = rng.randint(2, 4)
            found.add(" ".join(words[:size]).lower())
            words = words[size:]
    return sorted(found)


def fresh(number: int, rng: random.Random, phrases: list[str]) -> Dialogue:
    """A row of its own words; every tenth tells something personal."""
    question = sentence(rng, phrases, rng.randint(2, 5)) + "?"
    answer = f"{sentence(rng, phrases, 5)}. {sentence(rng, phrases, rng.randint(3, 8))}."
    if rng.random() < PERSONAL:
        phone = f"+7 9{rng.randrange(10**9):09d}"
        question += f" Меня зовут {rng.choice(NAMES)}, мой телефон {phone}."
    return dialogue(f"new-{number}", question, answer, rng)


def sentence(rng: random.Random, phrases: list[str], size: int) -> str:
    """Some phrases with a capital letter."""
    return " ".join(rng.choices(phrases, k=size)).capitalize()


def near(row: Dialogue, number: int, rng: random.Random, *, edits: int, kind: str) -> Dialogue:
    """The same row with words of its answer replaced; and in haste, without capitals."""
    words = row.answer.split()
    for place in range(edits):
        words[-1 - place * 5 % len(words)] = f"иначе{number}в{place}"
    return dialogue(f"{kind}-{number}", row.question.lower(), " ".join(words), rng)


def dialogue(name: str, question: str, answer: str, rng: random.Random) -> Dialogue:
    """A row with ids; a user has two dialogues on average."""
    number = name.rpartition("-")[2]
    return Dialogue(
        dialogue_id=name,
        request_id=f"req-{number}",
        response_id=f"rsp-{number}",
        user_id=f"usr-{int(number) // 2:024d}",
        turns=(Turn(role="user", content=question), Turn(role="assistant", content=answer)),
        intent=f"intent_{rng.randrange(40)}",
        source="own:generated",
        licence="Apache-2.0",
    )


@dataclass
class Watch:
    """CPU seconds and the highest sum of resident memory of this process and its children."""

    peak: int = 0
    cpu: dict[int, float] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Watch":
        self.thread = threading.Thread(target=self.look_on, daemon=True)
        self.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop.set()
        self.thread.join()

    def look_on(self) -> None:
        me = psutil.Process()
        while not self.stop.wait(0.5):
            total = 0
            for process in (me, *me.children(recursive=True)):
                try:
                    total += process.memory_info().rss
                    times = process.cpu_times()
                except psutil.NoSuchProcess:
                    continue
                self.cpu[process.pid] = times.user + times.system
            self.peak = max(self.peak, total)


def measure(rows: int, work: Path) -> dict[str, float]:
    """Runs all stages and gives seconds by stage, and prints what was found."""
    shards = write_shards(dialogues(rows), work / "rows")
    marks = [time.perf_counter()]
    step = CleanAndMask(Cleaner(), Masker())
    mapped = map_shards(shards, work / "clean", step, EXECUTOR, "clean and mask")
    marks.append(time.perf_counter())
    kept = remove_near_duplicates(
        mapped.paths, work / "duplicates", NearDuplicateSettings(), EXECUTOR
    )
    marks.append(time.perf_counter())
    settings = SplitSettings(train_rows=rows // 2)
    split = split_dialogues(kept.paths, work / "split", settings, LeakageSettings(), EXECUTOR)
    marks.append(time.perf_counter())
    leakage = check_leakage(split.train, split.test, LeakageSettings())
    marks.append(time.perf_counter())
    print(f"{rows:,} rows: {mapped.kept:,} clean, rejected {dict(mapped.quarantined)}, masked "
          f"{dict(mapped.counts)}, {kept.removed:,} duplicates, {split.train_rows:,} train, "
          f"{split.test_rows:,} test, leakage {leakage.share:.2%}", flush=True)  # fmt: skip
    print(found(mapped.paths, kept.removed_path), flush=True)
    spent = (after - before for before, after in pairwise(marks))
    return dict(zip(STAGES, spent, strict=True))


def found(inputs: Iterable[Path], removed_path: Path) -> str:
    """Precision and recall of the removal.

    A looser copy may rightly go: when its similarity, counted exactly, reaches the threshold.
    """
    removed: dict[str, float] = {}
    with removed_path.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            removed[row["dialogue_id"]] = row["similarity"]
    kinds: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for path in inputs:
        for row in stream_rows(path, Dialogue):
            kind = row.dialogue_id.partition("-")[0]
            kinds[kind] += 1
            right[kind] += row.dialogue_id in removed
    precision = right["copy"] / len(removed) if removed else math.nan
    return (
        f"  near-copies {kinds['copy']:,}, removed {right['copy'] / kinds['copy']:.2%}; looser "
        f"copies {kinds['looser']:,}, removed {right['looser'] / kinds['looser']:.2%}; other rows "
        f"removed {right['new']:,}; of what was removed {precision:.2%} are near-copies, and the "
        f"least similarity is {min(removed.values(), default=math.nan):.3f}"
    )


def main() -> None:
    """Prints a line of the table for each size."""
    sizes = [int(size) for size in sys.argv[1:]] or [10_000, 100_000]
    before: tuple[int, float] | None = None
    columns = ("rows", *(f"{stage}, s" for stage in STAGES), "all, s", "CPU, s", "peak, GiB")
    lines = [f"| {' | '.join(columns)} | exponent |"]
    lines.append("|" + "---|" * (len(STAGES) + 5))
    for rows in sizes:
        work = Path(tempfile.mkdtemp(prefix="finist-data-scale-"))
        with Watch() as watch:
            seconds = measure(rows, work)
        shutil.rmtree(work)
        total = sum(seconds.values())
        grown = math.log(total / before[1]) / math.log(rows / before[0]) if before else math.nan
        cells = [f"{rows:,}", *(f"{seconds[stage]:.1f}" for stage in STAGES), f"{total:.1f}"]
        cells += [f"{sum(watch.cpu.values()):.0f}", f"{watch.peak / 2**30:.2f}", f"{grown:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
        before = rows, total
    print("\n".join(lines))


if __name__ == "__main__":
    main()
