"""Precision and recall of the masking: `python -m components.prepare.personal_data.measure`."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from components.core.command_line import run
from components.core.json_lines import read_jsonl
from components.prepare.personal_data.kinds import KINDS, Kind, Span
from components.prepare.personal_data.masking import Masker
from components.prepare.personal_data.write_labelled_sentences import (
    SENTENCES,
    GoldSpan,
    LabelledSentence,
)

OVERLAP = 0.5
"""A found piece is right when it and a gold piece of its kind share half of the longer one."""

Finder = Callable[[str], list[Span]]
app = typer.Typer(add_completion=False)


@dataclass
class Score:
    """Counts of one kind."""

    gold: int = 0
    found: int = 0
    right: int = 0

    @property
    def precision(self) -> float:
        """Right ones among the found; 1 when nothing was found."""
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """Right ones among the gold; 1 when there is nothing to find."""
        return self.right / self.gold if self.gold else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        total = self.gold + self.found
        return 2 * self.right / total if total else 1.0


def measure(sentences: Iterable[LabelledSentence], find: Finder) -> dict[Kind, Score]:
    """Counts right and wrong findings by kind.

    Args:
        sentences: With gold spans.
        find: What is measured, for example `Masker().find`.

    Returns:
        A score for each kind.
    """
    scores: dict[Kind, Score] = defaultdict(Score)
    for sentence in sentences:
        _count(sentence.spans, find(sentence.text), scores)
    return {kind: scores[kind] for kind in KINDS}


def _count(gold: Sequence[GoldSpan], found: list[Span], scores: dict[Kind, Score]) -> None:
    left = list(gold)
    for span in gold:
        scores[span.kind].gold += 1
    for piece in found:
        scores[piece.kind].found += 1
        match = next((span for span in left if _same(span, piece)), None)
        if match is not None:
            left.remove(match)
            scores[piece.kind].right += 1


def _same(gold: GoldSpan, found: Span) -> bool:
    shared = min(gold.end, found.end) - max(gold.start, found.start)
    longer = max(gold.end - gold.start, found.end - found.start)
    return gold.kind == found.kind and shared >= OVERLAP * longer


def table(scores: dict[Kind, Score]) -> str:
    """Draws a Markdown table of scores.

    Args:
        scores: By kind.
    """
    total = Score(*(sum(getattr(s, key) for s in scores.values()) for key in Score.__annotations__))
    lines = ["| kind | gold | found | precision | recall | F1 |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {name} | {s.gold} | {s.found} | {s.precision:.3f} | {s.recall:.3f} | {s.f1:.3f} |"
        for name, s in (*scores.items(), ("all", total))
    ]
    return "\n".join(lines)


@app.command()
def main(
    errors: Annotated[
        bool, typer.Option(help="List the development half's wrong and missing pieces.")
    ] = False,
) -> None:
    """Prints a table for each half of the labelled sentences.

    Examples:

    `python -m components.prepare.personal_data.measure`

    `python -m components.prepare.personal_data.measure --errors`
    """  # noqa: D412
    sentences, find = read_jsonl(SENTENCES, LabelledSentence), Masker().find
    for half in ("development", "held_out"):
        chosen = [sentence for sentence in sentences if sentence.half == half]
        typer.echo(f"\n{half}: {len(chosen)} sentences\n\n{table(measure(chosen, find))}")
    if errors:
        _list_errors([s for s in sentences if s.half == "development"], find)


def _list_errors(sentences: list[LabelledSentence], find: Finder) -> None:
    for sentence in sentences:
        text, found = sentence.text, find(sentence.text)
        wrong = [f for f in found if not any(_same(g, f) for g in sentence.spans)]
        missing = [g for g in sentence.spans if not any(_same(g, f) for f in found)]
        if wrong or missing:
            typer.echo(f"\n{text}")
        for label, pieces in (("wrong", wrong), ("missing", missing)):
            for piece in pieces:
                typer.echo(f"  {label} {piece.kind}: {text[piece.start : piece.end]}")


if __name__ == "__main__":
    run(app)
