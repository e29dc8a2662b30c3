"""A thin watch with Evidently: drift of the questions, quality of the answers.

Evidently's own page is the report. Its statistical tests run offline on descriptors of the texts;
nothing is sent anywhere (`DO_NOT_TRACK`).
"""

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components.core.errors import BadInputError
from components.core.json_lines import read_jsonl
from components.core.schemas import Answer, Dialogue
from components.core.whole_files import whole_file
from components.monitor.tables import CATEGORIES, NUMBERS, TEXTS, current_table, reference_table

DRIFT_COLUMNS = (
    *("question length", "question words", "question sentences", "question non-letters"),
    *("intent", "answer length"),
)
REFUSAL = (
    r"(?i)не могу|не знаю|не уверен|нет (?:такой )?информации|не располагаю|затрудняюсь|"
    r"\bкак (?:языковая модель|ии)\b|обратитесь к специалист"
)
"""Wordings of a refusal or of not knowing, in the answers' language."""

FEW_ROWS = 5000
"""Below this, a distance between samples is mostly chance: with k intents and n rows, the
Jensen-Shannon distance of two samples of one distribution is about sqrt((k - 1) / (8 n ln 2)),
0.1 for k = 60 and n = 1,000. So p-values decide there; above it, where p-values find the smallest
difference, distances do."""
P_VALUES = {"num_method": "ks", "cat_method": "chisquare"} | dict.fromkeys(
    ("num_threshold", "cat_threshold"), 0.01
)
DISTANCES = {"num_method": "wasserstein", "cat_method": "jensenshannon"} | dict.fromkeys(
    ("num_threshold", "cat_threshold"), 0.1
)


def watch_files(reference: Path, current: Path, report: Path) -> dict[str, float]:
    """Compares current traffic with the training data and writes Evidently's page.

    Args:
        reference: JSON lines of `Dialogue`: the training data.
        current: JSON lines of `Answer`: questions as asked and answers as given.
        report: The HTML page, self-contained, about 4 MB, written whole or not at all.

    Returns:
        Flat figures, see `figures`.

    Raises:
        SchemaError: A line fits neither schema; BadInputError, its parent, when a file is empty.
    """
    dialogues, answers = read_jsonl(reference, Dialogue), read_jsonl(current, Answer)
    for path, rows in ((reference, dialogues), (current, answers)):
        if not rows:
            raise BadInputError(
                f"{path} holds no rows, so drift cannot be judged; give it the training "
                "dialogues as reference and a run's answers as current."
            )
    snapshot = evidently_report(reference_table(dialogues), current_table(answers))
    with whole_file(report) as partial:
        snapshot.save_html(str(partial))
    return figures(snapshot, answers)


def evidently_report(reference: pd.DataFrame, current: pd.DataFrame) -> Any:
    """Runs Evidently over the two tables.

    Args:
        reference: The columns of `components.monitor.tables.COLUMNS`.
        current: The same columns.

    Returns:
        Evidently's snapshot: drift of `DRIFT_COLUMNS`, statistics of quality columns.
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")
    with warnings.catch_warnings():  # Evidently uses names that numpy and pandas have deprecated
        warnings.simplefilter("ignore")
        from evidently import Report
        from evidently.metrics import RowCount
        from evidently.presets import DataDriftPreset, ValueStats

        methods = P_VALUES if len(current) < FEW_ROWS else DISTANCES
        shown = ("exact facts", "latency, s", "answer length", "refusal", "outcome")
        present = [name for name in shown if name not in NUMBERS or current[name].notna().any()]
        drift = DataDriftPreset(columns=list(DRIFT_COLUMNS), **methods)
        stats = [ValueStats(column=name) for name in present]
        report = Report([RowCount(), drift, *stats], include_tests=True)
        return report.run(_dataset(current), _dataset(reference))


def _dataset(table: pd.DataFrame) -> Any:
    from evidently import DataDefinition, Dataset
    from evidently.descriptors import (
        NonLetterCharacterPercentage,
        RegExp,
        SentenceCount,
        TextLength,
    )

    definition = DataDefinition(
        text_columns=TEXTS, categorical_columns=CATEGORIES, numerical_columns=NUMBERS
    )
    descriptors = [
        TextLength("question", alias="question length"),
        SentenceCount("question", alias="question sentences"),
        NonLetterCharacterPercentage("question", alias="question non-letters"),
        TextLength("answer", alias="answer length"),
        RegExp("answer", reg_exp=f".*(?:{REFUSAL[4:]}).*", alias="refusal"),
    ]
    return Dataset.from_pandas(table, data_definition=definition, descriptors=descriptors)


def figures(snapshot: Any, answers: Sequence[Answer]) -> dict[str, float]:
    """Lists the watch's figures under flat names.

    Args:
        snapshot: Evidently's.
        answers: The current traffic.

    Returns:
        `questions`, `drifted_columns`, for each column `drift.<column>` (a p-value or a distance,
        as Evidently's page says) and `drifted.<column>` (1 or 0, Evidently's verdict), and means
        over the answers: exact facts, length in characters, shares of empty, failed and refusing
        ones, 95th percentile of the latency in seconds.
    """
    found = snapshot.dict()
    scores = {_column(m["config"]): float(m["value"]) for m in _drifts(found["metrics"])}
    drifted = {
        _column(test["metric_config"]["params"]): float(test["status"].value != "SUCCESS")
        for test in found["tests"]
        if test["id"] == "drift"
    }
    named = {f"drift.{name}": value for name, value in scores.items()}
    named |= {f"drifted.{name}": value for name, value in drifted.items()}
    counts = {"questions": float(len(answers)), "drifted_columns": sum(drifted.values())}
    return counts | named | quality(current_table(answers))


def quality(table: pd.DataFrame) -> dict[str, float]:
    """Takes the means of the quality columns; a figure without any value is left out."""
    means = {
        "exact_facts": table["exact facts"].mean(),
        "answer_length": table["answer"].str.len().mean(),
        "empty": (table["outcome"] == "empty").mean(),
        "failed": table["outcome"].isin(["error", "timeout", "blocked"]).mean(),
        "refusals": table["answer"].str.contains(REFUSAL).mean(),
        "latency_p95_seconds": table["latency, s"].quantile(0.95),
    }
    return {name: float(value) for name, value in means.items() if np.isfinite(value)}


def _drifts(metrics: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [metric for metric in metrics if metric["config"]["type"].endswith(":ValueDrift")]


def _column(config: Mapping[str, Any]) -> str:
    return str(config["column"]).replace(" ", "_").replace("-", "_")
