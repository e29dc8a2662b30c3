"""The data stage: sources in, one clean, masked, deduplicated, leak-free dataset and its card out.

    sources -> cleaned and masked -> (LLM quality filter) -> no near-duplicates -> split -> checked

Every arrow is a folder of shards, so memory does not grow with the rows, and a killed run goes on
with what it lacks.
"""

import hashlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from components.core.errors import BadInputError
from components.core.json_lines import stream_rows
from components.core.schemas import QuarantinedRow
from components.core.whole_files import whole_file
from components.prepare.card.card_input import CardInput
from components.prepare.card.page import write_card
from components.prepare.card.summary import write_summary
from components.prepare.catalogue import Bank
from components.prepare.clean_and_mask import CleanAndMask
from components.prepare.cleaning.cleaner import Cleaner
from components.prepare.dataset_card import Passed, card_of
from components.prepare.deduplication.leakage import check_leakage, refuse_leakage
from components.prepare.deduplication.near_duplicates import remove_near_duplicates
from components.prepare.deduplication.shards import map_shards
from components.prepare.deduplication.split import split_dialogues
from components.prepare.filtering import filter_shards
from components.prepare.load import BANK, load_bank
from components.prepare.loading import fetch_sources, load_sources
from components.prepare.personal_data.masking import Masker
from components.prepare.recipe import DatasetRecipe
from components.prepare.sources.quarantine import Quarantine


@dataclass(frozen=True)
class DatasetFiles:
    """Where the results go; each appears whole or not at all."""

    train: Path
    """JSON lines of Dialogue."""
    test: Path
    """JSON lines of Dialogue."""
    data_card: Path
    """HTML."""
    card_json: Path
    """The card as JSON, `CardInput`."""
    summary: Path
    """Evidently's data summary, HTML."""
    quarantine: Path
    """JSON lines of QuarantinedRow: what was left out, and why."""
    near_duplicates: Path
    """JSON lines of RemovedRow: which went, and which nearly equal ones stayed."""

    def all(self) -> tuple[Path, ...]:
        """Gives every file."""
        return tuple(vars(self).values())


def prepare_dataset(
    recipe: DatasetRecipe, files: DatasetFiles, home: Path, summary_link: str = ""
) -> CardInput:
    """Makes a dataset.

    Args:
        recipe: Sources and settings.
        files: Where the results go.
        home: Keeps the work of unfinished runs, and the replies of teachers and judges for ever,
            so that the same recipe goes on where it was stopped and pays for nothing twice.
        summary_link: Address of the summary, relative to the card; empty for its file's name.

    Returns:
        What the data card says.

    Raises:
        BadInputError: A source, the catalogue or a recipe cannot be used, or too few rows are
            left; says by how many.
        LeakageError: Training shows what the test asks; names the pairs.
        EndpointError: A teacher, judge or quality filter is away.
    """
    if len({path.absolute() for path in files.all()}) < len(files.all()):
        raise BadInputError(f"{', '.join(map(str, files.all()))} must be different files.")
    bank = load_bank(recipe.bank or BANK)
    work = home / "prepare" / f"{recipe.name}-{_short_hash(recipe.model_dump_json())}"
    passed = _run(fetch_sources(recipe, work / "fetched"), bank, work, home)
    refuse_leakage(passed.leakage)
    links = (files.quarantine.name, files.near_duplicates.name, summary_link or files.summary.name)
    card = _write(recipe, bank, passed, files, links)
    shutil.rmtree(work)
    return card


def _run(recipe: DatasetRecipe, bank: Bank, work: Path, home: Path) -> Passed:
    masker = Masker(recipe.masking)
    loaded = load_sources(recipe, bank, work / "loaded", home / "synthesis")
    step = CleanAndMask(Cleaner(recipe.cleaning), masker)
    key = f"{recipe.cleaning!r} {recipe.masking!r}"
    cleaned = map_shards(loaded.shards, work / "cleaned", step, recipe.executor, key)
    filtered = None
    if recipe.quality_filter:
        journal = home / "quality_filter.jsonl"
        place = work / "filtered"
        filtered = filter_shards(cleaned.paths, place, recipe.quality_filter, journal, masker)
    shards = filtered.paths if filtered else cleaned.paths
    unique = remove_near_duplicates(
        shards, work / "unique", recipe.near_duplicates, recipe.executor
    )
    split = split_dialogues(
        unique.paths, work / "split", recipe.split, recipe.leakage, recipe.executor
    )
    leakage = check_leakage(split.train, split.test, recipe.leakage)
    return Passed(loaded, cleaned, filtered, unique, split, leakage)


def _write(
    recipe: DatasetRecipe,
    bank: Bank,
    passed: Passed,
    files: DatasetFiles,
    links: tuple[str, str, str],
) -> CardInput:
    filtered = passed.filtered.quarantine if passed.filtered else ()
    sources = (passed.loaded.quarantine, *passed.cleaned.quarantine, *filtered)
    _gather_quarantine(sources, files.quarantine)
    card = card_of(recipe, bank, passed, files.quarantine, links)
    write_card(card, files.data_card, files.card_json)
    write_summary(passed.split.train, passed.split.test, files.summary, seed=recipe.seed)
    for made, path in (
        (passed.unique.removed_path, files.near_duplicates),
        (passed.split.test, files.test),
        (passed.split.train, files.train),
    ):
        _copy(made, path)
    return card


def _gather_quarantine(sources: Iterable[Path], path: Path) -> None:
    with Quarantine(path) as quarantine:
        for source in sources:
            for row in stream_rows(source, QuarantinedRow):
                quarantine.add(row)


def _copy(source: Path, path: Path) -> None:
    with whole_file(path) as partial:
        shutil.copyfile(source, partial)


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
