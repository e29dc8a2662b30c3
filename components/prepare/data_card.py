"""The data card: one HTML page that says what the generated dialogues are."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from components.core.schemas import Dialogue
from components.prepare.catalogue import Bank
from components.prepare.generate import LICENCE, SOURCE, Corpus, Split

EXAMPLES = 10
_SPLITS: tuple[Split, ...] = ("train", "test")
BIN_WIDTH = 10
"""Characters in one bar of the length histogram."""


@dataclass(frozen=True)
class Bar:
    """One bar of a histogram: lengths from `start` up to, not including, `start + BIN_WIDTH`."""

    start: int
    rows: int
    share: float
    """Of the highest bar, in (0, 1]."""


def data_card(bank: Bank, corpus: Corpus, seed: int) -> str:
    """Renders the data card.

    Args:
        bank: The catalogue that the dialogues came from.
        corpus: The dialogues.
        seed: The seed of the generation; also picks the ten examples.

    Returns:
        A self-contained HTML page.
    """
    rows = (*corpus.train, *corpus.test)
    loader = PackageLoader("components.prepare", "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    return environment.get_template("data_card.html.jinja").render(
        bank=bank,
        seed=seed,
        licence=LICENCE,
        source=SOURCE,
        splits={"train": corpus.train, "test": corpus.test},
        categories=_categories(bank, rows),
        intents=_counts(rows),
        families={s: len({d.phrasing_family for d in rows if d.split == s}) for s in _SPLITS},
        questions=histogram([len(d.question) for d in rows]),
        answers=histogram([len(d.answer) for d in rows]),
        bin_width=BIN_WIDTH,
        examples=random.Random(seed).sample(rows, min(EXAMPLES, len(rows))),
    )


def histogram(lengths: Sequence[int]) -> list[Bar]:
    """Counts lengths in bins of `BIN_WIDTH` characters.

    Args:
        lengths: In characters; at least one.

    Returns:
        The bars from the shortest to the longest bin, empty ones between them included.
    """
    counts = Counter(length // BIN_WIDTH for length in lengths)
    highest = max(counts.values())
    bins = range(min(counts), max(counts) + 1)
    return [Bar(index * BIN_WIDTH, counts[index], counts[index] / highest) for index in bins]


def _categories(bank: Bank, rows: Sequence[Dialogue]) -> list[tuple[str, int, dict[Split, int]]]:
    """Title, number of products and rows by split of each category."""
    counts = Counter((bank.category_of[d.product], d.split) for d in rows)
    return [
        (file.title, len(file.products), {s: counts[file.category, s] for s in _SPLITS})
        for _, file in bank.files
    ]


def _counts(rows: Sequence[Dialogue]) -> dict[str, dict[Split, int]]:
    """Rows by intent, then by split."""
    counts = Counter((d.intent, d.split) for d in rows)
    return {d.intent: {s: counts[d.intent, s] for s in _SPLITS} for d in rows}
