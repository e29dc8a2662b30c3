"""The prefix filter finds the same pairs as comparing everything with everything."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from components.prepare.deduplication.overlap import TestQuestions
from components.prepare.deduplication.settings import LeakageSettings
from components.prepare.deduplication.shingles import gather

QUESTIONS = st.lists(st.sets(st.integers(0, 12), min_size=1, max_size=10), max_size=12)


@settings(max_examples=40, deadline=None)
@given(QUESTIONS, QUESTIONS, st.sampled_from([0.5, 0.8, 1.0]), st.sampled_from([0.6, 0.9]))
def test_every_pair_is_found(
    test: list[set[int]], train: list[set[int]], jaccard: float, containment: float
) -> None:
    limits = LeakageSettings(jaccard=jaccard, containment=containment)
    one, other = (
        gather(np.array(sorted(each), dtype=np.uint64) for each in side) for side in (test, train)
    )
    index = TestQuestions(one, np.zeros(len(test), dtype=np.int64), limits)
    found = index.overlaps(other, np.zeros(len(train), dtype=np.int64))
    expected = {
        (i, j)
        for i, a in enumerate(test)
        for j, b in enumerate(train)
        if len(a & b) / len(a | b) >= jaccard
        or (len(a) >= limits.containment_ngrams and len(a & b) / len(a) >= containment)
    }
    assert set(zip(found.test.tolist(), found.train.tolist(), strict=True)) == expected
