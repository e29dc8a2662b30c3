"""Writes the recovery report: one HTML page, and its figures as JSON for the gates."""

from dataclasses import dataclass
from pathlib import Path

from components.core.errors import BadInputError
from components.core.json_lines import read_jsonl
from components.core.schemas import Answer
from components.core.whole_files import write_text
from components.evaluate.benchmarks.results import BenchmarkResults
from components.evaluate.evidence import read_evidence
from components.evaluate.recovery.compare import Measured, compare
from components.evaluate.recovery.page import render
from components.evaluate.recovery.quantization import Quantization
from components.evaluate.recovery.recovered import Recovery
from components.evaluate.recovery.served_figures import ServedFigures


@dataclass(frozen=True)
class RecoveryInputs:
    """Files of the model before quantization and of the quantized one, in this order."""

    answers: tuple[Path, Path]
    """JSON lines of `Answer`, judged or not."""
    figures: tuple[Path, Path]
    """JSON of `ServedFigures`."""
    quantization: Path
    """JSON: what the quantize step did."""
    benchmarks: tuple[Path, Path] | None = None
    """JSON of `BenchmarkResults`."""


def write_recovery(inputs: RecoveryInputs, report: Path, evidence: Path) -> Recovery:
    """Reads what was measured of both models, and writes the page and its figures.

    Args:
        inputs: The files.
        report: The HTML page.
        evidence: The recovery as JSON.

    Returns:
        The recovery.

    Raises:
        BadInputError: The two models were not asked the same; SchemaError, its child, when a file
            holds something else.
    """
    before, after = _measured(inputs, 0), _measured(inputs, 1)
    found = compare(before, after, read_evidence(inputs.quantization, Quantization))
    write_text(report, render(found))
    write_text(evidence, found.model_dump_json(indent=1) + "\n")
    return found


def _measured(inputs: RecoveryInputs, side: int) -> Measured:
    answers = read_jsonl(inputs.answers[side], Answer)
    if not answers:
        raise BadInputError(f"{inputs.answers[side]} holds no answers; run `answer` again.")
    return Measured(
        answers=answers,
        figures=read_evidence(inputs.figures[side], ServedFigures),
        benchmarks=(
            read_evidence(inputs.benchmarks[side], BenchmarkResults) if inputs.benchmarks else None
        ),
    )
