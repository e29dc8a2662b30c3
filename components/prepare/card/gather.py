"""What the files of a prepared dataset hold, counted in one pass over each."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from components.core.errors import BadInputError
from components.core.json_lines import stream_rows
from components.core.schemas import Dialogue, QuarantinedRow
from components.prepare.card.card_input import Dataset, RejectedRows, SourceRows, SplitRows
from components.prepare.card.histograms import describe_lengths, score_histogram
from components.prepare.card.sampling import Reservoir, in_turns
from components.prepare.catalogue import Bank

EXAMPLES = 10
LANGUAGE_KIND = "language-"
"""How kinds of quarantined rows begin that name a language, for example `language-en`."""
LONGEST_REASON = 300
"""Characters of a reason that the card repeats."""

Side = Literal["train", "test"]
SIDES: tuple[Side, ...] = ("train", "test")


def gather(train: Path, test: Path, *, seed: int, bank: Bank | None = None) -> Dataset:
    """Counts what the two files hold.

    Memory does not grow with the rows, only with the distinct intents, products, sources and, by
    about 100 bytes each, phrasing families.

    Args:
        train: JSON lines of Dialogue.
        test: JSON lines of Dialogue.
        seed: Draws the examples.
        bank: Gives titles to intents and products; None for their ids alone.

    Returns:
        The counts, with ten examples: random ones of each source, the sources in turns, so that a
        small source is seen beside a large one. A row counts for the file that it stands in.

    Raises:
        SchemaError: A file cannot be read, or a line does not fit; names both.
        BadInputError: Neither file holds a row.
    """
    counts = _Counts(seed)
    for side, path in zip(SIDES, (train, test), strict=True):
        for row in stream_rows(path, Dialogue):
            counts.add(row, side)
    if not counts.sources:
        raise BadInputError(f"{train} and {test} hold no rows; a data card needs at least one.")
    return counts.dataset(bank)


def count_quarantine(path: Path) -> tuple[RejectedRows, ...]:
    """Counts the rows that were left out, by kind.

    Args:
        path: JSON lines of QuarantinedRow.

    Returns:
        One entry a kind, the most frequent first, each with its first row as an example.

    Raises:
        SchemaError: The file cannot be read, or a line does not fit; names both.
    """
    counts, first = Counter[str](), dict[str, str]()
    for row in stream_rows(path, QuarantinedRow):
        counts[row.kind] += 1
        if row.kind not in first:
            reason = row.reason[:LONGEST_REASON]
            place = f"{Path(row.file).name}:{row.line}" if row.line else Path(row.file).name
            first[row.kind] = f"{place}: {reason}"
    kinds = sorted(counts, key=lambda kind: (-counts[kind], kind))
    return tuple(RejectedRows(kind=k, rows=counts[k], example=first[k]) for k in kinds)


def dropped_languages(rejected: Iterable[RejectedRows]) -> dict[str, int]:
    """Picks the rows that were left out for their language.

    Args:
        rejected: From `count_quarantine`; such kinds begin with `LANGUAGE_KIND`.

    Returns:
        Rows by language, for `CardInput.languages_dropped`.
    """
    return {
        kind.kind.removeprefix(LANGUAGE_KIND): kind.rows
        for kind in rejected
        if kind.kind.startswith(LANGUAGE_KIND)
    }


class _Counts:
    """The running counts of `gather`."""

    def __init__(self, seed: int) -> None:
        self.rows = Counter[Side]()
        self.sources = defaultdict[tuple[str, str], Counter[Side]](Counter)
        self.provenance = dict[tuple[str, str], str]()
        self.intents = defaultdict[str, Counter[Side]](Counter)
        self.products = defaultdict[str, Counter[Side]](Counter)
        self.families: dict[Side, set[str]] = {"train": set(), "test": set()}
        self.languages = Counter[str]()
        self.questions, self.answers = Counter[int](), Counter[int]()
        self.scores = Counter[float]()
        self.multi_turn = self.with_facts = 0
        self.rng = random.Random(f"{seed}:data card")
        self.examples = dict[str, Reservoir[Dialogue]]()

    def add(self, row: Dialogue, side: Side) -> None:
        """Counts one row of a split."""
        origin = (row.source, row.licence)
        self.rows[side] += 1
        self.sources[origin][side] += 1
        self.provenance.setdefault(origin, row.provenance)
        if row.intent:
            self.intents[row.intent][side] += 1
        if row.product:
            self.products[row.product][side] += 1
        if row.phrasing_family:
            self.families[side].add(row.phrasing_family)
        self._add_texts(row)

    def _add_texts(self, row: Dialogue) -> None:
        self.languages[row.language] += 1
        self.questions[len(row.question)] += 1
        self.answers[len(row.answer)] += 1
        self.multi_turn += sum(turn.role == "user" for turn in row.turns) > 1
        self.with_facts += bool(row.facts)
        if row.judge_score is not None:
            self.scores[round(row.judge_score, 2)] += 1
        if row.source not in self.examples:
            self.examples[row.source] = Reservoir(EXAMPLES, self.rng)
        self.examples[row.source].add(row)

    def dataset(self, bank: Bank | None) -> Dataset:
        """Closes the counts."""
        train, test = self.families["train"], self.families["test"]
        products = {p.id: p.name for p in bank.products.values()} if bank else {}
        intents = {i.id: i.title for i in bank.intents.values()} if bank else {}
        chosen = in_turns(self.examples[name].items for name in sorted(self.examples))
        return Dataset(
            train=self.rows["train"],
            test=self.rows["test"],
            sources=tuple(self._source(*origin) for origin in sorted(self.sources)),
            intents=_by_split(self.intents, intents),
            products=_by_split(self.products, products),
            families=SplitRows(name="families", train=len(train), test=len(test)),
            shared_families=len(train & test),
            languages=dict(self.languages.most_common()),
            multi_turn=self.multi_turn,
            with_facts=self.with_facts,
            questions=describe_lengths(self.questions),
            answers=describe_lengths(self.answers),
            judged=score_histogram(self.scores) if self.scores else None,
            examples=tuple(chosen)[:EXAMPLES],
        )

    def _source(self, name: str, licence: str) -> SourceRows:
        rows = self.sources[name, licence]
        return SourceRows(
            name=name,
            licence=licence,
            provenance=self.provenance[name, licence],
            train=rows["train"],
            test=rows["test"],
        )


def _by_split(
    counts: Mapping[str, Mapping[Side, int]], titles: Mapping[str, str]
) -> tuple[SplitRows, ...]:
    """One entry a name, the most frequent first."""
    rows: Iterable[SplitRows] = (
        SplitRows(name=name, title=titles.get(name, ""), train=by["train"], test=by["test"])
        for name, by in counts.items()
    )
    return tuple(sorted(rows, key=lambda row: (-row.total, row.name)))
