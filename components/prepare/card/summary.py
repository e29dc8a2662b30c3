"""Evidently's summary of the dialogues, column by column, the test beside the training.

Nothing is sent anywhere (`DO_NOT_TRACK`), and no text of a dialogue gets into the page.
"""

import os
import random
import warnings
from pathlib import Path
from typing import Any

import pandas as pd

from components.core.errors import BadInputError
from components.core.json_lines import Line, parse, stream_lines
from components.core.schemas import Dialogue
from components.core.whole_files import whole_file, write_text
from components.prepare.card.sampling import Reservoir

MOST_ROWS = 50_000
"""Rows of each split that Evidently sees; more are sampled evenly."""
HEAD = (
    '<p style="font:16px/1.5 sans-serif;margin:16px 20px 0">'
    "Columns of the dialogues, by Evidently. <b>Current</b> is the test, <b>reference</b> "
    "the training data.</p>"
)
"""What Evidently's page does not say itself."""
CATEGORIES = ["source", "intent", "language", "licence"]
NUMBERS = [
    *("question characters", "question words", "answer characters", "answer words"),
    *("turns", "required facts", "judge score"),
]
Record = tuple[str | float | None, ...]


def write_summary(train: Path, test: Path, page: Path, *, seed: int) -> None:
    """Writes Evidently's data summary of both splits.

    Args:
        train: JSON lines of Dialogue: the page's "reference".
        test: JSON lines of Dialogue: the page's "current".
        page: HTML, self-contained, about 4 MB; written whole or not at all.
        seed: Draws the sample where a split has more than `MOST_ROWS` rows.

    Raises:
        SchemaError: A line does not fit; BadInputError, its parent, when a split has no rows.
    """
    reference, current = (_table(path, seed) for path in (train, test))
    snapshot = _run(current, reference)
    with whole_file(page) as partial:
        snapshot.save_html(str(partial))
        _explain(partial)


def _table(path: Path, seed: int) -> pd.DataFrame:
    """The columns of a split, or of a sample of it: only lines that are drawn are parsed."""
    sample = Reservoir[Line](MOST_ROWS, random.Random(f"{seed}:summary"))
    for line in stream_lines(path):
        sample.add(line)
    if not sample.items:
        raise BadInputError(f"{path} holds no rows, so there is nothing to summarise.")
    records = [_record(parse(path, line, Dialogue)) for line in sample.items]
    table = pd.DataFrame(records, columns=[*CATEGORIES, *NUMBERS])
    return table.astype(dict.fromkeys(NUMBERS, "float64"))


def _record(dialogue: Dialogue) -> Record:
    """The columns of one dialogue: `CATEGORIES`, then `NUMBERS`."""
    question, answer = dialogue.question, dialogue.answer
    return (
        *(dialogue.source, dialogue.intent, dialogue.language, dialogue.licence),
        *(len(question), len(question.split()), len(answer), len(answer.split())),
        *(len(dialogue.turns), len(dialogue.facts), dialogue.judge_score),
    )


def _explain(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    write_text(page, text.replace("<body>", f"<body>{HEAD}", 1))


def _run(current: pd.DataFrame, reference: pd.DataFrame) -> Any:
    os.environ.setdefault("DO_NOT_TRACK", "1")
    with warnings.catch_warnings():  # Evidently uses names that numpy and pandas have deprecated
        warnings.simplefilter("ignore")
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataSummaryPreset

        filled = [n for n in NUMBERS if current[n].notna().any() and reference[n].notna().any()]
        definition = DataDefinition(categorical_columns=CATEGORIES, numerical_columns=filled)
        datasets = [
            Dataset.from_pandas(table[[*CATEGORIES, *filled]], data_definition=definition)
            for table in (current, reference)
        ]
        return Report([DataSummaryPreset()], include_tests=False).run(*datasets)
