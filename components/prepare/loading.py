"""Every source of a recipe, read into shards of one form; what cannot be used is set aside."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from tqdm import tqdm

from components.core.download import download_object
from components.core.json_lines import read_jsonl
from components.core.schemas import Dialogue, QuarantinedRow
from components.core.settings import StoreSettings
from components.prepare.catalogue import Bank
from components.prepare.clean_and_mask import mask_quarantined
from components.prepare.deduplication.engine import fresh_folder
from components.prepare.deduplication.shards import write_shards
from components.prepare.generate import generate
from components.prepare.personal_data.masking import Masker
from components.prepare.recipe import BankSource, DatasetRecipe, Source
from components.prepare.sources.open import OpenSource, read_open
from components.prepare.sources.own import OwnSource, read_own
from components.prepare.sources.quarantine import Quarantine
from components.prepare.sources.rows import OpenQuestion, TakenIds
from components.prepare.synthesis.results import SynthesisResult
from components.prepare.synthesis.settings import SyntheticSource
from components.prepare.synthesis.synthesize import synthesize

SALT = "FINIST_USER_SALT"
"""The environment variable with the salt of hashed user ids."""

Rows = Iterator[Dialogue | OpenQuestion | QuarantinedRow]


class Loaded(BaseModel):
    """What the sources gave."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shards: tuple[Path, ...]
    quarantine: Path
    rows: dict[str, int]
    """Dialogues by `Dialogue.source`."""
    quarantined: int
    syntheses: tuple[SynthesisResult, ...] = ()


@dataclass(frozen=True)
class _Context:
    """What every reader needs."""

    recipe: DatasetRecipe
    bank: Bank
    journals: Path
    masker: Masker
    taken: TakenIds
    syntheses: list[SynthesisResult]

    @property
    def salt(self) -> str:
        return os.environ.get(SALT, "")


def fetch_sources(recipe: DatasetRecipe, folder: Path) -> DatasetRecipe:
    """Brings files that stand in the store here.

    Args:
        recipe: Paths of its sources may be `s3://bucket/key`.
        folder: Where they go.

    Returns:
        The recipe with paths on this machine.

    Raises:
        StorageError: There is no such object, or the server is away.
    """
    fetched = [_fetched(source, folder / str(i)) for i, source in enumerate(recipe.sources)]
    return recipe.model_copy(update={"sources": tuple(fetched)})


def _fetched(source: Source, folder: Path) -> Source:
    path = str(getattr(source, "path", ""))
    if not path.startswith("s3:/"):
        return source
    uri = "s3://" + path.removeprefix("s3:").lstrip("/")  # a Path keeps one slash of the two
    local = download_object(StoreSettings(), uri, folder / uri.rpartition("/")[2])
    return source.model_copy(update={"path": local})


def load_sources(recipe: DatasetRecipe, bank: Bank, shards: Path, journals: Path) -> Loaded:
    """Reads the sources in the recipe's order.

    Args:
        recipe: Its paths are on this machine.
        bank: The catalogue.
        shards: Gets the rows and `quarantine.jsonl`; a run over the same sources reuses them.
        journals: Gets a folder for each teacher: replies once paid for, whatever the recipe.

    Returns:
        The shards and what was counted.

    Raises:
        BadInputError: A source cannot be read at all.
        EndpointError: A teacher or judge is away.
    """
    told = shards / "loaded.json"
    key = f"{recipe.seed} {recipe.sources!r} {recipe.masking!r} {bank!r} {os.environ.get(SALT)}"
    fresh_folder(shards, key, _files(recipe))
    if told.exists():
        return Loaded.model_validate_json(told.read_text(encoding="utf-8"))
    context = _Context(recipe, bank, journals, Masker(recipe.masking), TakenIds(), [])
    loaded = _load(context, shards)
    told.write_text(loaded.model_dump_json(), encoding="utf-8")
    return loaded


def _files(recipe: DatasetRecipe) -> list[Path]:
    paths = [Path(str(p)) for s in recipe.sources if (p := getattr(s, "path", None))]
    found = [sorted(p.rglob("*")) if p.is_dir() else [p] for p in paths]
    return [path for group in found for path in group if path.is_file()]


def _load(context: _Context, shards: Path) -> Loaded:
    counts = Counter[str]()
    with Quarantine(shards / "quarantine.jsonl") as quarantine:
        paths = write_shards(_kept(context, quarantine, counts), shards)
    return Loaded(
        shards=paths,
        quarantine=quarantine.path,
        rows=dict(counts),
        quarantined=quarantine.counts.total(),
        syntheses=tuple(context.syntheses),
    )


def _kept(context: _Context, quarantine: Quarantine, counts: Counter[str]) -> Iterator[Dialogue]:
    """Every usable row of every source, counted."""
    for source in context.recipe.sources:
        rows = quarantine.kept(_masked(_read(source, context), context.masker))
        quiet = isinstance(source, SyntheticSource)  # it shows its own progress
        for row in tqdm(rows, desc=f"reading {_name(source)}", unit=" rows", disable=quiet):
            counts[row.source] += 1
            yield row


def _name(source: Source) -> str:
    return getattr(source, "name", "built-in bank")


def _masked(rows: Rows, masker: Masker) -> Iterator[Dialogue | QuarantinedRow]:
    """Rejected rows come masked, and a question without an answer is a rejected row."""
    for row in rows:
        if isinstance(row, Dialogue):
            yield row
        else:
            told = _unanswered(row) if isinstance(row, OpenQuestion) else row
            yield mask_quarantined(told, masker)


def _unanswered(question: OpenQuestion) -> QuarantinedRow:
    file, _, line = question.provenance.rpartition(":")
    return QuarantinedRow(
        file=file or question.source,
        line=int(line) if line.isdecimal() else 0,
        reason="The data set has questions without answers; give it answers, or train on others.",
        kind="no-answer",
        row={"question": question.question, "intent": question.intent},
    )


def _read(source: Source, context: _Context) -> Rows:
    reader = _READERS[type(source)]
    return reader(source, context)


def _read_bank(source: BankSource, context: _Context) -> Rows:
    corpus = generate(
        context.bank,
        train_rows=source.train_rows,
        test_rows=source.test_rows,
        seed=context.recipe.seed,
    )
    yield from (*corpus.train, *corpus.test)


def _read_own(source: OwnSource, context: _Context) -> Rows:
    return read_own(source, salt=context.salt, taken=context.taken, bank=context.bank)


def _read_open(source: OpenSource, context: _Context) -> Rows:
    return read_open(source, salt=context.salt, taken=context.taken)


def _read_synthetic(source: SyntheticSource, context: _Context) -> Rows:
    work = context.journals / source.name
    result = synthesize(context.bank, source, work, lambda text: context.masker.mask_text(text)[0])
    context.syntheses.append(result)
    yield from read_jsonl(result.rejected, QuarantinedRow)
    yield from read_jsonl(result.dialogues, Dialogue)


_READERS: dict[type, Callable[..., Rows]] = {
    BankSource: _read_bank,
    OwnSource: _read_own,
    OpenSource: _read_open,
    SyntheticSource: _read_synthetic,
}
