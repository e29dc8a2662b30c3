"""The report of an evaluation: one HTML page that needs nothing else, and its figures as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from components.core.errors import BadInputError
from components.core.json_lines import read_jsonl
from components.core.prices import Prices
from components.core.schemas import Answer, LossPoint
from components.core.whole_files import write_text
from components.evaluate.benchmarks.regression import Regression, guard
from components.evaluate.benchmarks.results import BenchmarkResults
from components.evaluate.evidence import read_evidence
from components.evaluate.gates import Gates, GateVerdict, check_gates
from components.evaluate.judging.agreement import JudgeAgreement, caution
from components.evaluate.leaderboard import Leaderboard, rank
from components.evaluate.page import Links, PageContent, render
from components.evaluate.recovery.recovered import Recovery

EMULATOR_NOTE = (
    "The baseline in this report is not GigaChat. It is {model}, not fine-tuned, prompted and "
    "served behind an emulator of GigaChat's API. It is a weak stand-in that proves the loop works "
    "end to end; it says nothing about GigaChat's own answers."
)
GUARDED = "benchmark.general.difference"
POINTS_ALLOWED = 3.0
"""What the general ability may lose in the benchmarks' own words, where no gate says so."""
SOME_MODEL = "this run's base model"


@dataclass(frozen=True)
class ReportInputs:
    """What a report is made from."""

    answers: Sequence[Path]
    """JSON lines of `Answer`, judged or not: the baseline's file first, then one a contender."""
    candidate: str = ""
    """The contender that is to be released; that of the second file when empty."""
    losses: Path | None = None
    """JSON lines of `LossPoint`."""
    agreement: Path | None = None
    """JSON of `JudgeAgreement`: how well the judge follows known grades."""
    judge_described: str = ""
    """What the judge is, for the sentence that says how far to trust it; its name when empty."""
    benchmarks: tuple[Path, Path] | None = None
    """JSON of `BenchmarkResults`: the base model's, then the candidate's."""
    recovery: Path | None = None
    """JSON of `Recovery`: what the candidate kept in quantization."""
    prices: Mapping[str, Prices] = field(default_factory=dict)
    """By contender; the costs of one that is missing are unknown, and shown so."""
    gates: Gates | None = None
    """None when the candidate need not show anything."""
    links: Links = field(default_factory=Links)
    """Pages to point at."""
    emulated_baseline: bool = True
    """The baseline is the laptop's stand-in for GigaChat: the page says so at its top."""
    base_model: str = ""
    """Which model stands in, a folder, an address or a name; empty if unknown."""


def write_report(inputs: ReportInputs, report: Path, board: Path | None = None) -> Leaderboard:
    """Reads what an evaluation gave, and writes the page and its figures.

    A gate that failed stands on the page and in the figures; `gates.enforce` is what stops a
    release, so that there is a page to read when it does.

    Args:
        inputs: Files and settings.
        report: The HTML page.
        board: The leaderboard as JSON; None for no such file.

    Returns:
        The leaderboard, with the verdicts of the gates.

    Raises:
        BadInputError: Fewer than two files of answers, an empty one, different questions or judges,
            an unknown candidate, or the recovery of another model; SchemaError, its child, when a
            line or a file does not fit.
    """
    contenders = _read(inputs.answers)
    losses = read_jsonl(inputs.losses, LossPoint) if inputs.losses else []
    found = _ranked(inputs, contenders, losses)
    content = PageContent(
        contenders=contenders,
        losses=losses,
        links=inputs.links,
        note=emulator_note(inputs.base_model) if inputs.emulated_baseline else "",
        caution=_caution(found.agreement, inputs.judge_described),
        others=_others(found, inputs.gates),
    )
    write_text(report, render(found, content))
    if board:
        write_text(board, found.model_dump_json(indent=2) + "\n")
    return found


def _ranked(
    inputs: ReportInputs, contenders: Sequence[Sequence[Answer]], losses: Sequence[LossPoint]
) -> Leaderboard:
    """The leaderboard with its evidence, and with the verdicts that follow from both."""
    evidence = {
        "agreement": _agreement(inputs),
        "benchmarks": _benchmarks(inputs),
        "recovery": read_evidence(inputs.recovery, Recovery) if inputs.recovery else None,
    }
    ranked = rank(contenders, inputs.candidate, losses, inputs.prices).model_copy(update=evidence)
    _refuse_foreign(ranked)
    verdicts = check_gates(ranked, inputs.gates) if inputs.gates else ()
    return ranked.model_copy(update={"gates": verdicts})


def _refuse_foreign(board: Leaderboard) -> None:
    measured = board.recovery.after.contender if board.recovery else board.candidate
    if measured != board.candidate:
        raise BadInputError(
            f"The recovery is that of {measured!r} and the candidate is {board.candidate!r}; give "
            f"the recovery of the model that is to be released."
        )


def _agreement(inputs: ReportInputs) -> JudgeAgreement | None:
    return read_evidence(inputs.agreement, JudgeAgreement) if inputs.agreement else None


def _benchmarks(inputs: ReportInputs) -> tuple[Regression, ...]:
    if inputs.benchmarks is None:
        return ()
    base, candidate = (read_evidence(path, BenchmarkResults) for path in inputs.benchmarks)
    gates = inputs.gates.gates if inputs.gates else ()
    limits = [-100 * gate.bound for gate in gates if gate.metric == GUARDED]
    return guard(base, candidate, max(0.0, *limits) if limits else POINTS_ALLOWED)


def _caution(agreement: JudgeAgreement | None, described: str) -> str:
    return caution(agreement, described or agreement.judge) if agreement else ""


def _others(board: Leaderboard, gates: Gates | None) -> list[tuple[GateVerdict, ...]]:
    """How the contenders that nobody wants to release would have done."""
    names = [row.measures.contender for row in board.standings]
    rest = [name for name in names if name not in (board.baseline, board.candidate)]
    return [check_gates(board, gates, name) for name in rest] if gates else []


def _read(answers: Sequence[Path]) -> list[list[Answer]]:
    contenders = [read_jsonl(path, Answer) for path in answers]
    if not contenders[1:] or not all(contenders):
        empty = [str(path) for path, rows in zip(answers, contenders, strict=True) if not rows]
        raise BadInputError(
            f"A leaderboard needs the answers of a baseline and of a candidate; empty: "
            f"{', '.join(empty) or 'none'}, given: {len(contenders)} files. Run `answer` for each."
        )
    return contenders


def emulator_note(base_model: str) -> str:
    """Says what answers in GigaChat's place.

    Args:
        base_model: A folder, an address or a name, of which the last part is shown; may be empty.
    """
    return EMULATOR_NOTE.format(model=PurePosixPath(base_model).name or SOME_MODEL)
