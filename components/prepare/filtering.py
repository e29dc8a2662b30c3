"""The LLM quality filter over shards; its replies outlive a killed run in their journal."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from components.core.json_lines import read_jsonl, write_jsonl
from components.core.schemas import Dialogue
from components.prepare.cleaning.quality_llm import LlmQualitySettings, filter_by_llm
from components.prepare.deduplication.shards import MappedShards
from components.prepare.personal_data.masking import Masker

REQUESTS = "requests"
PROMPT_TOKENS = "prompt tokens"
COMPLETION_TOKENS = "completion tokens"


def filter_shards(
    shards: Sequence[Path],
    folder: Path,
    settings: LlmQualitySettings,
    journal: Path,
    masker: Masker,
) -> MappedShards:
    """Has a model score every dialogue, a shard at a time.

    Args:
        shards: JSONL shards of Dialogue, masked.
        folder: Gets the kept rows and the others.
        settings: Who scores, and which scores are kept.
        journal: The file of replies: a reply in it is not asked for again.
        masker: Masks once more before a text leaves.

    Returns:
        What is kept, what is not, and counts: dialogues by score, requests, tokens.

    Raises:
        EndpointError: The endpoint is down; replies so far are kept.
        MissingSecretError: The key's variable is empty.
    """
    kept, left_out = list[Path](), list[Path]()
    quarantined, counts, number = Counter[str](), Counter[str](), 0
    for rank, shard in enumerate(shards):
        rows = read_jsonl(shard, Dialogue)
        told = filter_by_llm(rows, settings, journal, lambda text: masker.mask_text(text)[0])
        kept.append(folder / f"rows-{rank:05d}.jsonl")
        left_out.append(folder / f"quarantine-{rank:05d}.jsonl")
        write_jsonl(kept[-1], told.kept)
        write_jsonl(left_out[-1], told.quarantined)
        number += len(told.kept)
        quarantined.update(row.kind for row in told.quarantined)
        counts += told.outcomes + Counter({REQUESTS: told.requests})
        counts += Counter({PROMPT_TOKENS: told.prompt_tokens})
        counts += Counter({COMPLETION_TOKENS: told.completion_tokens})
    return MappedShards(tuple(kept), tuple(left_out), number, quarantined, counts)
