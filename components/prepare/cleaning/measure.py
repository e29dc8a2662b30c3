"""`python -m components.prepare.cleaning.measure`: how well cleaning tells good from bad."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from components.core.json_lines import read_jsonl
from components.core.schemas import Dialogue, Row, Turn
from components.prepare.cleaning.cleaner import Cleaner, Rejected

LABELLED = Path(__file__).parent / "labelled_dialogues.jsonl"

Half = Literal["tuned", "held-out"]


class Labelled(Row):
    """A dialogue with what should become of it; written by hand."""

    half: Half
    """`tuned`: seen while the rules were written. `held-out`: written after them."""
    expected: str
    """`good`, or the kind of the reason for leaving it out."""
    question: str = Field(min_length=1)
    answer: str = Field(min_length=1)

    def dialogue(self) -> Dialogue:
        """Makes the dialogue that cleaning gets."""
        question, answer = (
            Turn(role="user", content=self.question),
            Turn(role="assistant", content=self.answer),
        )
        return Dialogue(
            dialogue_id="labelled", request_id="", response_id="", user_id="", intent="",
            turns=(question, answer), source="own:labelled", licence="Apache-2.0",
        )  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What became of the dialogues of one expected kind; `language-en` counts as `language`."""

    rows: int
    right: int
    """Kept when good; left out, for whatever reason, when not."""
    same_kind: int
    """Kept when good; left out for the expected reason when not."""


def measure(half: Half, cleaner: Cleaner, path: Path = LABELLED) -> dict[str, Result]:
    """Cleans the labelled dialogues and compares.

    Args:
        half: Which half.
        cleaner: With the settings to measure.
        path: JSON lines of `Labelled`.

    Returns:
        A result for each expected kind, `good` first.

    Raises:
        SchemaError: A line of the file is not a labelled dialogue.
    """
    became: dict[str, list[str]] = defaultdict(list, {"good": []})
    for row in read_jsonl(path, Labelled):
        if row.half == half:
            became[_family(row.expected)].append(_family(_kind(row, cleaner)))
    return {expected: _result(expected, kinds) for expected, kinds in became.items()}


def _kind(row: Labelled, cleaner: Cleaner) -> str:
    cleaned = cleaner.clean(row.dialogue())
    return cleaned.kind if isinstance(cleaned, Rejected) else "good"


def _family(kind: str) -> str:
    return "language" if kind.startswith("language-") else kind


def _result(expected: str, kinds: Iterable[str]) -> Result:
    kinds = list(kinds)
    return Result(
        rows=len(kinds),
        right=sum((kind == "good") == (expected == "good") for kind in kinds),
        same_kind=kinds.count(expected),
    )


def table(cleaner: Cleaner) -> str:
    """Measures both halves.

    Args:
        cleaner: With the settings to measure.

    Returns:
        A Markdown table: rows, rightly kept or left out, and for the expected reason, by kind.
    """
    lines = ["| half | expected | rows | right | for that reason |", "|---|---|--:|--:|--:|"]
    halves: tuple[Half, ...] = ("tuned", "held-out")
    for half in halves:
        for kind, result in measure(half, cleaner).items():
            lines.append(
                f"| {half} | {kind} | {result.rows} | {result.right} | {result.same_kind} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(Cleaner()))  # noqa: T201 - a command's output
