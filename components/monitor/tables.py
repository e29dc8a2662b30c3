"""The two tables that are compared: training dialogues and answered questions, same columns."""

from collections.abc import Sequence

import pandas as pd

from components.core.facts import fact_share
from components.core.outcomes import exact_fact_score, outcome
from components.core.schemas import Answer, Dialogue

TEXTS = ["question", "answer"]
CATEGORIES = ["intent", "outcome"]
NUMBERS = ["exact facts", "latency, s", "question words"]
COLUMNS = [*TEXTS, *CATEGORIES, *NUMBERS]
"""Words are counted here: Evidently 0.7's WordCount drops every letter that is not Latin."""


def reference_table(dialogues: Sequence[Dialogue]) -> pd.DataFrame:
    """Makes the reference from training dialogues.

    Args:
        dialogues: n dialogues.

    Returns:
        n rows of `COLUMNS`; the answers are the reference answers, without a latency.
    """
    rows = [
        (d.question, d.answer, d.intent, "answered", fact_share(d.facts, d.answer), None)
        for d in dialogues
    ]
    return _table(rows)


def current_table(answers: Sequence[Answer]) -> pd.DataFrame:
    """Makes the table of current traffic.

    Args:
        answers: n answered questions, failed ones too.

    Returns:
        n rows of `COLUMNS`; the score is missing where no fact was required, the latency (in
        seconds) where no answer came.
    """
    rows = [
        (a.question, a.answer, a.intent, outcome(a), exact_fact_score(a), _latency(a))
        for a in answers
    ]
    return _table(rows)


def _latency(answer: Answer) -> float | None:
    return None if outcome(answer) == "error" else answer.latency_seconds


def _table(rows: Sequence[tuple[str, str, str, str, float | None, float | None]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=COLUMNS[:-1])
    table["question words"] = table["question"].str.count(r"\w+")
    return table.astype(dict.fromkeys(NUMBERS, "float64"))
