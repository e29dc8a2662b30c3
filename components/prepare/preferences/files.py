"""From files of dialogues and of rated answers to files of pairs, with what was counted."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from components.core.errors import BadInputError
from components.core.json_lines import stream_rows, write_jsonl
from components.core.schemas import Dialogue, PreferencePair
from components.prepare.catalogue import Bank
from components.prepare.preferences.corruptions import is_right
from components.prepare.preferences.csat import csat_pairs
from components.prepare.preferences.leaks import without_test_text
from components.prepare.preferences.pairs import make_pairs
from components.prepare.preferences.scored import scored_pairs
from components.prepare.preferences.settings import PreferenceSettings
from components.prepare.sources.quarantine import Quarantine


@dataclass(frozen=True)
class PairSources:
    """Where pairs come from; at least one of `train`, `scored` and `csat`.

    Attributes:
        train: JSON lines of Dialogue.
        test: JSON lines of Dialogue: every row counts as a test row, whatever its split.
        scored: Files of ScoredAnswer.
        csat: Files of MarkedAnswer.
    """

    train: Path | None = None
    test: Path | None = None
    scored: tuple[Path, ...] = ()
    csat: tuple[Path, ...] = ()


@dataclass(frozen=True)
class PairFiles:
    """Where pairs go; each file appears whole or not at all.

    Attributes:
        out: Pairs to train on.
        quarantine: Rows that were left out.
        test_out: Pairs of the test split, to measure the margin on; None leaves them out.
    """

    out: Path
    quarantine: Path
    test_out: Path | None = None


@dataclass(frozen=True)
class PairCounts:
    """What was made.

    Attributes:
        pairs: Pairs to train on.
        test_pairs: Pairs of the test split.
        unusable: Dialogues without facts, or whose answer lacks one.
        left_out: Quarantined rows by kind.
    """

    pairs: tuple[PreferencePair, ...]
    test_pairs: tuple[PreferencePair, ...]
    unusable: int
    left_out: Counter[str] = field(default_factory=Counter)


def write_pairs(
    sources: PairSources, files: PairFiles, settings: PreferenceSettings, bank: Bank
) -> PairCounts:
    """Makes pairs of all sources; a pair that two sources give is written once.

    Args:
        sources: Files to read.
        files: Files to write.
        settings: How pairs are made.
        bank: The catalogue that wrong values come from.

    Returns:
        The pairs and counts.

    Raises:
        BadInputError: There is no source, or no pair to train on comes of it.
        LeakageError: A training dialogue asks a question of the test.
        SchemaError: A file cannot be read, or a line of dialogues does not fit.
    """
    if not (sources.train or sources.scored or sources.csat):
        raise BadInputError("There is nothing to make pairs of; give dialogues or rated answers.")
    tests = [row.model_copy(update={"split": "test"}) for row in _dialogues(sources.test)]
    dialogues = [*_dialogues(sources.train), *tests]
    with Quarantine(files.quarantine) as quarantine:
        rated = _rated(sources, settings, tests, quarantine)
        made = {p.pair_id: p for p in chain(make_pairs(dialogues, settings, bank), rated)}
    counts = PairCounts(
        pairs=tuple(pair for pair in made.values() if pair.split != "test"),
        test_pairs=tuple(pair for pair in made.values() if pair.split == "test"),
        unusable=sum(not is_right(dialogue) for dialogue in dialogues),
        left_out=quarantine.counts,
    )
    _write(counts, files)
    return counts


def _dialogues(path: Path | None) -> Iterator[Dialogue]:
    return stream_rows(path, Dialogue) if path else iter(())


def _rated(
    sources: PairSources,
    settings: PreferenceSettings,
    tests: list[Dialogue],
    quarantine: Quarantine,
) -> Iterator[PreferencePair]:
    """Pairs of rated answers, without bad rows and without the test's questions."""
    read = chain(
        *(scored_pairs(path, settings) for path in sources.scored),
        *(csat_pairs(path, settings) for path in sources.csat),
    )
    return quarantine.kept(without_test_text(quarantine.kept(read), tests, settings.leakage))


def _write(counts: PairCounts, files: PairFiles) -> None:
    if not counts.pairs:
        raise BadInputError(
            f"No pair came of the sources for {files.out}: the dialogues list no facts (or the "
            f"answers lack them), or no rated answers are far enough apart; see {files.quarantine}."
        )
    write_jsonl(files.out, counts.pairs)
    if files.test_out:
        write_jsonl(files.test_out, counts.test_pairs)
