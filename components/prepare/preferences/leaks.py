"""Keeps the test's questions out of the prompts that training sees."""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np

from components.core.schemas import Dialogue, PreferencePair, QuarantinedRow, Turn
from components.prepare.deduplication.leakage import product_number
from components.prepare.deduplication.overlap import TestQuestions
from components.prepare.deduplication.settings import LeakageSettings
from components.prepare.deduplication.shingles import gather, shingles

TEST_QUESTION = "test-question"
"""Kind of a quarantined pair."""

_BATCH = 20_000
"""Pairs compared at a time."""


def without_test_text(
    pairs: Iterable[PreferencePair], tests: Iterable[Dialogue], settings: LeakageSettings
) -> Iterator[PreferencePair | QuarantinedRow]:
    """Leaves out pairs in whose prompt the user asks what the test asks.

    Every message of the user is compared with every message of a user in the test, as
    `components.prepare.deduplication.leakage` compares questions. Pairs of the test split pass.

    Args:
        pairs: Of any split.
        tests: Dialogues of the test; others are passed over.
        settings: What counts as the same question.

    Yields:
        The pairs in their order; one that leaks comes as a row of the kind `test-question`.
    """
    asked = [(text, d.product) for d in tests if d.split == "test" for text in _said(d.turns)]
    index = TestQuestions(
        gather(shingles(text, settings.ngram_words) for text, _ in asked),
        np.array([product_number(product) for _, product in asked], dtype=np.int64),
        settings,
    )
    rows = iter(pairs)
    while batch := list(islice(rows, _BATCH)):
        leaking = _leaking(batch, index)
        for place, pair in enumerate(batch):
            yield _left_out(pair, asked[leaking[place]][0]) if place in leaking else pair


def _said(turns: Iterable[Turn]) -> list[str]:
    return [turn.content for turn in turns if turn.role == "user"]


def _leaking(batch: list[PreferencePair], index: TestQuestions) -> dict[int, int]:
    """For each leaking pair's place in the batch, a place of the test question it shows."""
    said = [
        (place, text, product_number(pair.product))
        for place, pair in enumerate(batch)
        if pair.split != "test"
        for text in _said(pair.prompt)
    ]
    sets = gather(shingles(text, index.settings.ngram_words) for _, text, _ in said)
    found = index.overlaps(sets, np.array([number for *_, number in said], dtype=np.int64))
    shown = zip(found.train.tolist(), found.test.tolist(), strict=True)
    return {said[train][0]: test for train, test in shown}


def _left_out(pair: PreferencePair, question: str) -> QuarantinedRow:
    return QuarantinedRow(
        file=pair.source,
        line=0,
        reason=(
            f"The prompt of the {pair.split} pair from dialogue {pair.dialogue_id} asks the test's "
            f"question «{question}»; leave one of the two out."
        ),
        kind=TEST_QUESTION,
        row={"pair_id": pair.pair_id, "dialogue_id": pair.dialogue_id},
    )
