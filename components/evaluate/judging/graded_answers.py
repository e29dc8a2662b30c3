"""Graded answers from the bank's dialogues: what the local judge learns from and is measured on.

Each row is a `Dialogue` whose user says the judge's whole prompt for one criterion, and whose
assistant says the grade, one digit; so the `sft` component trains the judge as it trains anything.
The grades come from one table (`grades.v1.yaml`), never from a model.
"""

import hashlib
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar, get_args

from pydantic import Field, PositiveInt

from components.core.errors import BadInputError, SchemaError
from components.core.geval import SCORES
from components.core.json_lines import read_jsonl, write_jsonl
from components.core.llm import Frozen
from components.core.schemas import Answer, Dialogue, Split, Turn
from components.evaluate.judging.answer_kinds import Graded, Workshop, with_other_numbers
from components.evaluate.judging.cached_judge import masked_case
from components.evaluate.judging.grade_table import GradeTable, read_table
from components.evaluate.judging.rubric import (
    Criterion,
    CriterionId,
    Rubric,
    criterion_prompt,
    read_rubric,
)
from components.prepare.load import BANK, load_bank
from components.prepare.personal_data.masking import Masker, MaskingSettings
from components.prepare.preferences.corruptions import is_right
from components.prepare.subset import Subset, select

_TRIES = 100
"""Dialogues tried for one row before it counts as impossible."""
_BEST = max(SCORES)
_CRITERIA: dict[CriterionId, float] = {
    "correctness": 0.4,
    "completeness": 0.25,
    "tone": 0.175,
    "safety": 0.175,
}


class GradingSettings(Frozen):
    """How graded answers are made; the same settings and dialogues give the same rows."""

    table: str = "grades.v1"
    """A table of grades, by its file's name without `.yaml`."""
    rubric: str = "local/bank_answer_local.v1"
    """The rubric whose prompts the judge will be asked."""
    subset: Subset = Subset()
    """Which dialogues the answers are made of, in either split."""
    rows_train: PositiveInt = 720
    rows_test: PositiveInt = 400
    criteria: dict[CriterionId, float] = Field(default_factory=lambda: dict(_CRITERIA))
    """Shares of the rows; the harder ones have more."""
    fives: float = Field(default=0.4, gt=0, lt=1)
    """Share of the highest grade in each criterion: else nearly every answer would be safe."""
    shares: dict[str, float] = Field(default_factory=dict)
    """How often a kind is made beside the others, where not as the table says."""
    other_numbers: float = Field(default=0.5, ge=0, le=1)
    """Share of the training rows whose reference has other numbers than the catalogue, so that
    the judge learns to compare and not the numbers."""
    masking: MaskingSettings = MaskingSettings()
    """What the judge step masks; the same there, or the prompts differ."""
    seed: int = 0


class GradingSummary(Frozen):
    """What was made."""

    train_rows: int
    test_rows: int
    impossible: int
    """Rows that were asked for and could not be made: the dialogues give too few of a kind."""
    train_grades: dict[str, tuple[int, ...]]
    """By criterion: rows with each grade, 1 to 5."""
    test_grades: dict[str, tuple[int, ...]]
    train_kinds: dict[str, int]
    test_kinds: dict[str, int]


class GradedRow(NamedTuple):
    """What a graded dialogue says."""

    prompt: str
    criterion: CriterionId
    kind: str
    grade: int


@dataclass(frozen=True)
class _Side:
    """One split in the making."""

    split: Split
    dialogues: Sequence[Dialogue]
    """Their reference answers are right; in a seeded order."""
    shop: Workshop
    rubric: Rubric
    settings: GradingSettings
    source: str
    masker: Masker


def grade_file(
    train: Path,
    test: Path,
    graded_train: Path,
    graded_test: Path,
    settings: GradingSettings,
    bank: Path = BANK,
) -> GradingSummary:
    """Makes graded answers of prepared dialogues.

    Held-out rows are made first, of the test's phrasing families and of wordings kept for them;
    no prompt of theirs stands in the training rows.

    Args:
        train: JSON lines of `Dialogue`.
        test: JSON lines of `Dialogue` in phrasing families that `train` does not have.
        graded_train: Rows to train on, written whole or not at all.
        graded_test: Rows to measure the judge on.
        settings: How many rows of what.
        bank: Folder of the catalogue that the dialogues come from.

    Returns:
        Counts by criterion, grade and kind.

    Raises:
        BadInputError: No dialogue of a split has facts and a right answer, or the settings name a
            kind or a criterion that the table does not have. RecipeError, its child, when the
            subset, the table or the rubric cannot be used.
        SchemaError: A line is not a dialogue.
    """
    table, rubric = read_table(settings.table), read_rubric(settings.rubric)
    _refuse_unknown(settings, table, rubric)
    catalogue = load_bank(bank)
    source = f"graded:{'built-in-bank' if bank == BANK else bank.name}"

    def side(split: Split, path: Path) -> _Side:
        shop = Workshop(table, catalogue, held_out=split == "test")
        dialogues, masker = _usable(path, settings), Masker(settings.masking)
        return _Side(split, dialogues, shop, rubric, settings, source, masker)

    taken: set[str] = set()
    held_out = _rows(side("test", test), settings.rows_test, taken)
    rows = _rows(side("train", train), settings.rows_train, taken)
    write_jsonl(graded_train, rows)
    write_jsonl(graded_test, held_out)
    return _summary(rows, held_out, settings)


def read_graded(path: Path) -> list[GradedRow]:
    """Reads what `grade_file` wrote.

    Args:
        path: JSON lines of `Dialogue`.

    Returns:
        The rows in their order.

    Raises:
        SchemaError: A line is not a graded answer.
    """
    return [_graded(path, row) for row in read_jsonl(path, Dialogue)]


def _graded(path: Path, row: Dialogue) -> GradedRow:
    name, _, kind = row.intent.partition("/")
    for criterion in get_args(CriterionId):
        if criterion == name and row.answer in map(str, SCORES):
            return GradedRow(row.question, criterion, kind, int(row.answer))
    raise SchemaError(
        f"{path}: the row {row.dialogue_id} is no graded answer: its intent must be "
        "`criterion/kind` and its answer one digit from 1 to 5; make the file with `grade_file`."
    )


def _refuse_unknown(settings: GradingSettings, table: GradeTable, rubric: Rubric) -> None:
    criteria = {criterion.id for criterion in rubric.criteria}
    unknown = {*settings.shares} - {*table.shares()} | {*settings.criteria} - criteria
    graded = [kind.kind for kind in table.kinds if not criteria <= {*kind.grades}]
    if unknown or graded:
        raise BadInputError(
            f"The table {settings.table} and the rubric {settings.rubric} do not go with the "
            f"settings: unknown are {sorted(unknown)}, without a grade for each criterion are "
            f"{graded}; name kinds of the table and criteria of the rubric."
        )


def _usable(path: Path, settings: GradingSettings) -> list[Dialogue]:
    right = [row for row in read_jsonl(path, Dialogue) if is_right(row)]
    if not right:
        raise BadInputError(
            f"{path} has no dialogue with facts whose answer states them all; graded answers are "
            "made of such."
        )
    return select(right, settings.subset)


def _rows(side: _Side, total: int, taken: set[str]) -> list[Dialogue]:
    """Makes the rows of a split in a seeded order; `taken` grows by their prompts."""
    made = [
        row
        for criterion in side.rubric.criteria
        for row in _rows_of(side, criterion, _dealt(total, side.settings.criteria), taken)
    ]
    random.Random(f"{side.settings.seed}:{side.split}").shuffle(made)
    return made


def _rows_of(
    side: _Side, criterion: Criterion, totals: Mapping[CriterionId, int], taken: set[str]
) -> Iterator[Dialogue]:
    counts = _dealt(totals.get(criterion.id, 0), _weights(side, criterion.id))
    rng = random.Random(f"{side.settings.seed}:{side.split}:{criterion.id}")
    place = rng.randrange(len(side.dialogues))
    for kind, count in counts.items():
        for _ in range(count):
            for dialogue in islice(_from(side.dialogues, place), _TRIES):
                place += 1
                if row := _row(side, criterion, kind, dialogue, taken, rng):
                    yield row
                    break


def _from(dialogues: Sequence[Dialogue], place: int) -> Iterator[Dialogue]:
    """All dialogues once, beginning at a place."""
    for step in range(len(dialogues)):
        yield dialogues[(place + step) % len(dialogues)]


def _row(
    side: _Side,
    criterion: Criterion,
    kind: str,
    dialogue: Dialogue,
    taken: set[str],
    rng: random.Random,
) -> Dialogue | None:
    """One graded answer; None when this dialogue gives none, or none with a new prompt."""
    if side.split == "train" and rng.random() < side.settings.other_numbers:
        dialogue = with_other_numbers(dialogue, side.shop.bank, rng.getrandbits(31))
    graded = side.shop.make(kind, dialogue, rng)
    if graded is None:
        return None
    case = masked_case(_answered(dialogue, graded.answer), side.masker)
    prompt = criterion_prompt(side.rubric, criterion, case)
    if prompt in taken:
        return None
    taken.add(prompt)
    return _dialogue(side, criterion, dialogue, graded, prompt)


def _answered(dialogue: Dialogue, answer: str) -> Answer:
    """The row that the `judge` step would read, so that both show a judge the same."""
    return Answer(
        dialogue_id=dialogue.dialogue_id,
        contender="graded",
        intent=dialogue.intent,
        product=dialogue.product,
        question=dialogue.question,
        reference=dialogue.answer,
        answer=answer,
        facts=dialogue.facts,
        finish_reason="stop",
        prompt_tokens=0,
        completion_tokens=0,
        latency_seconds=0.0,
        first_token_seconds=None,
    )


def _dialogue(
    side: _Side, criterion: Criterion, dialogue: Dialogue, graded: Graded, prompt: str
) -> Dialogue:
    """The intent is criterion and kind, and the product empty: `select` deals evenly over both."""
    key = hashlib.sha256(f"{side.rubric.name}:{prompt}".encode()).hexdigest()
    grade = str(graded.grades[criterion.id])
    return Dialogue(
        dialogue_id=f"grd-{key[:16]}",
        request_id=f"req-{key[16:32]}",
        response_id=f"rsp-{key[32:48]}",
        user_id=dialogue.user_id,
        turns=(Turn(role="user", content=prompt), Turn(role="assistant", content=grade)),
        intent=f"{criterion.id}/{graded.kind}",
        phrasing_family=dialogue.phrasing_family,
        source=side.source,
        language=dialogue.language,
        split=side.split,
        licence=dialogue.licence,
        provenance=(
            f"{side.settings.table}: {' + '.join(graded.parts)}; answer made of "
            f"{dialogue.dialogue_id} ({dialogue.intent}, {dialogue.product or 'no product'})"
        ),
    )


def _weights(side: _Side, criterion: CriterionId) -> dict[str, float]:
    """How often each kind is made: `fives` of the rows have the best grade of this criterion."""
    shares = side.shop.table.shares() | side.settings.shares
    best = {k.kind for k in side.shop.table.kinds if k.grades[criterion] == _BEST}
    fives = sum(share for kind, share in shares.items() if kind in best) or 1.0
    others = sum(share for kind, share in shares.items() if kind not in best) or 1.0
    part = side.settings.fives
    return {
        kind: share / fives * part if kind in best else share / others * (1 - part)
        for kind, share in shares.items()
        if share
    }


Key = TypeVar("Key", bound=str)


def _dealt(total: int, weights: Mapping[Key, float]) -> dict[Key, int]:
    """Deals rows by weights (largest remainders), one to each first if there are enough."""
    first = 1 if total >= len(weights) else 0
    left = total - first * len(weights)
    quota = {key: left * weight / sum(weights.values()) for key, weight in weights.items()}
    counts = {key: first + int(each) for key, each in quota.items()}
    by_remainder = sorted(quota, key=lambda key: int(quota[key]) - quota[key])
    for key in by_remainder[: total - sum(counts.values())]:
        counts[key] += 1
    return counts


def _summary(
    rows: Sequence[Dialogue], held_out: Sequence[Dialogue], settings: GradingSettings
) -> GradingSummary:
    asked = settings.rows_train + settings.rows_test
    return GradingSummary(
        train_rows=len(rows),
        test_rows=len(held_out),
        impossible=asked - len(rows) - len(held_out),
        train_grades=_grades(rows),
        test_grades=_grades(held_out),
        train_kinds=_kinds(rows),
        test_kinds=_kinds(held_out),
    )


def _grades(rows: Sequence[Dialogue]) -> dict[str, tuple[int, ...]]:
    counts = Counter((row.intent.partition("/")[0], int(row.answer)) for row in rows)
    criteria = sorted({criterion for criterion, _ in counts})
    return {each: tuple(counts[each, grade] for grade in SCORES) for each in criteria}


def _kinds(rows: Sequence[Dialogue]) -> dict[str, int]:
    return dict(sorted(Counter(row.intent.partition("/")[2] for row in rows).items()))
