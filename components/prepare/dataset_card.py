"""What a run of the data stage says about itself: its figures as the data card has them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from components.prepare.card.card_input import (
    CardInput,
    Duplicates,
    Leakage,
    LeakPair,
    Spending,
    Stage,
    Synthesis,
)
from components.prepare.card.gather import count_quarantine, gather
from components.prepare.card.histograms import split_scores
from components.prepare.catalogue import Bank
from components.prepare.clean_and_mask import DIALOGUES_MASKED, MASKED
from components.prepare.deduplication.leakage import Leakage as LeakageFound
from components.prepare.deduplication.near_duplicates import Deduplicated
from components.prepare.deduplication.shards import MappedShards
from components.prepare.deduplication.split import SplitDataset
from components.prepare.loading import Loaded
from components.prepare.recipe import DatasetRecipe
from components.prepare.synthesis.cost import Spent
from components.prepare.synthesis.results import SynthesisResult

LANGUAGE = "language-"
SHOWN_PAIRS = 10


@dataclass(frozen=True)
class Passed:
    """What each stage of a run made of the rows; None for a stage that was not asked for."""

    loaded: Loaded
    cleaned: MappedShards
    filtered: MappedShards | None
    unique: Deduplicated
    split: SplitDataset
    leakage: LeakageFound


def card_of(
    recipe: DatasetRecipe, bank: Bank, passed: Passed, quarantine: Path, links: tuple[str, str, str]
) -> CardInput:
    """Gathers the data card of a run.

    Args:
        recipe: As it was run.
        bank: Gives titles.
        passed: The figures of each stage.
        quarantine: JSON lines of QuarantinedRow, of all stages.
        links: Names of the quarantine, of the list of near-duplicates and of Evidently's page,
            relative to the card.

    Returns:
        The card.

    Raises:
        SchemaError: A file of the run does not fit its schema.
    """
    counts = passed.cleaned.counts
    return CardInput(
        name=recipe.name,
        seed=recipe.seed,
        recipe=json.loads(recipe.model_dump_json(exclude_defaults=True)),
        dataset=gather(passed.split.train, passed.split.test, seed=recipe.seed, bank=bank),
        stages=tuple(_stages(passed)),
        languages_dropped={
            kind.removeprefix(LANGUAGE): rows
            for kind, rows in passed.cleaned.quarantined.items()
            if kind.startswith(LANGUAGE)
        },
        masked={k.removeprefix(MASKED): n for k, n in counts.items() if k.startswith(MASKED)},
        dialogues_masked=counts[DIALOGUES_MASKED],
        rejected=count_quarantine(quarantine),
        quarantine=links[0],
        duplicates=Duplicates(
            threshold=recipe.near_duplicates.threshold,
            removed=dict(passed.unique.removed_by_source),
            file=links[1],
        ),
        syntheses=tuple(_synthesis(result) for result in passed.loaded.syntheses),
        leakage=_leakage(passed.leakage),
        summary_page=links[2],
    )


def _stages(passed: Passed) -> Iterator[Stage]:
    loaded = sum(passed.loaded.rows.values())
    read = loaded + passed.loaded.quarantined
    yield Stage(name="read", rows_in=read, rows_out=loaded)
    yield Stage(name="clean and mask", rows_in=loaded, rows_out=passed.cleaned.kept)
    rows = passed.cleaned.kept
    if passed.filtered:
        yield Stage(name="LLM quality filter", rows_in=rows, rows_out=passed.filtered.kept)
        rows = passed.filtered.kept
    yield Stage(name="near-duplicates", rows_in=rows, rows_out=passed.unique.kept)
    split = passed.split
    note = f"{split.train_rows:,} train, {split.test_rows:,} test in {split.groups:,} groups"
    yield Stage(
        name="split",
        rows_in=passed.unique.kept,
        rows_out=split.train_rows + split.test_rows,
        note=note,
    )


def _synthesis(result: SynthesisResult) -> Synthesis:
    passed, failed = split_scores(result.scores, result.threshold)
    spending = [_spending("teacher", result.teacher, result.cost.teacher)]
    if result.judge:
        spending.append(_spending("judge", result.judge, result.cost.judge))
    return Synthesis(
        source=result.source,
        planned=result.planned,
        accepted=result.accepted,
        rejected=result.rejected_by_reason,
        not_asked=result.not_asked,
        threshold=result.threshold,
        passed=passed if result.judge else None,
        failed=failed if result.judge else None,
        spending=tuple(spending),
        currency=result.cost.currency,
        budget=result.cost.budget,
        prompts=result.prompts,
        note=result.note,
    )


def _spending(role: str, model: str, spent: Spent) -> Spending:
    return Spending.model_validate(
        {
            "role": role,
            "model": model,
            "requests": spent.requests,
            "requests_before": spent.requests - spent.requests_of_this_run,
            "estimated_requests": spent.estimated_requests,
            "prompt_tokens": spent.prompt_tokens,
            "completion_tokens": spent.completion_tokens,
            "money": spent.money,
        }
    )


def _leakage(found: LeakageFound) -> Leakage:
    pairs = [
        LeakPair(
            test_id=pair.test_id,
            train_id=pair.train_id,
            test_text=pair.test_question,
            train_text=pair.train_question,
            jaccard=pair.jaccard,
            containment=pair.containment,
        )
        for pair in found.pairs[:SHOWN_PAIRS]
    ]
    return Leakage(
        questions=found.test_rows,
        offending=found.leaking_test_rows,
        max_share=found.max_share,
        pairs=tuple(pairs),
    )
