"""MinHash signatures of dialogues, by datatrove, with word n-grams of our own."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupSignature,
)
from datatrove.utils.hashing import HashConfig
from numpy.typing import NDArray

from components.core.json_lines import stream_rows
from components.core.schemas import Dialogue
from components.prepare.deduplication.engine import run_tasks
from components.prepare.deduplication.settings import ExecutorSettings, NearDuplicateSettings
from components.prepare.deduplication.shingles import Hashes, gather, shingles

_LINES_TO_BUFFER = 1000
_ONE, _HALF = np.uint64(1), np.uint64(32)


def write_signatures(
    inputs: Sequence[Path],
    folder: Path,
    settings: NearDuplicateSettings,
    executor: ExecutorSettings,
) -> None:
    """Writes what LSH needs: `rows/` with ids and n-grams by shard, `pairs/` with candidates.

    Args:
        inputs: Shards of dialogues, none empty.
        folder: Where to.
        settings: N-grams, buckets and hashes.
        executor: Where to run.

    Raises:
        SchemaError: A line of a shard is no Dialogue.
    """
    (folder / "rows").mkdir(exist_ok=True)
    config = _config(settings)
    index = _IndexShard(inputs, folder, settings, config)
    run_tasks(index, len(inputs), folder / "tasks-signatures", executor)
    buckets = MinhashDedupBuckets(
        input_folder=str(folder / "signatures"),
        output_folder=str(folder / "pairs"),
        config=config,
        lines_to_buffer=_LINES_TO_BUFFER,
    )
    run_tasks(buckets, settings.buckets, folder / "tasks-buckets", executor)


def full_text(dialogue: Dialogue) -> str:
    """Gives what two dialogues are compared by: all that the user and the assistant say.

    Args:
        dialogue: The row.
    """
    return "\n".join(turn.content for turn in dialogue.turns if turn.role != "system")


def _config(settings: NearDuplicateSettings) -> MinhashConfig:
    """32 bits a hash: six make a bucket's key of 192. `sha1` only keeps datatrove from xxhash."""
    return MinhashConfig(
        n_grams=settings.ngram_words,
        num_buckets=settings.buckets,
        hashes_per_bucket=settings.hashes_per_bucket,
        seed=settings.seed,
        hash_config=HashConfig(precision=32, hash_fc="sha1"),
    )


class _Signature(MinhashDedupSignature):
    """datatrove's signatures over our n-grams, which it also keeps for the exact comparison.

    datatrove's own get_shingles splits Russian with spaCy and hashes each n-gram by SHA-1: six
    times as slow as all the rest of its signature step (figures in the README).
    """

    def __init__(self, folder: Path, words: int, config: MinhashConfig) -> None:
        super().__init__(output_folder=str(folder), config=config)
        self.words = words
        self.sets: list[Hashes] = []

    def get_shingles(self, text: str) -> NDArray[np.uint64]:
        found = shingles(text, self.words)
        self.sets.append(found)
        return found.reshape(-1, 1)

    def get_signature(self, shingles: NDArray[np.uint64]) -> list[list[int]]:
        """Smallest value of each hash function, by bucket.

        The functions are multiply-shift (Dietzfelbinger et al., J. Algorithms 1997) rather than
        datatrove's division by a prime, and nothing is split into small arrays.
        """
        factor, addend = self.parameters
        hashed = (shingles * (factor | _ONE) + addend) >> _HALF
        buckets = hashed.min(axis=0).reshape(self.config.num_buckets, -1)
        signature: list[list[int]] = buckets.tolist()
        return signature


class _IndexShard(PipelineStep):
    """Rank r reads shard r and writes its signatures, ids and n-grams."""

    name = "index shard"
    type = "Finist"

    def __init__(
        self,
        inputs: Sequence[Path],
        folder: Path,
        settings: NearDuplicateSettings,
        config: MinhashConfig,
    ) -> None:
        super().__init__()
        self.inputs, self.folder, self.settings, self.config = inputs, folder, settings, config

    def run(
        self, data: Iterator[Document] | None = None, rank: int = 0, world_size: int = 1
    ) -> None:
        del data
        signature = _Signature(self.folder / "signatures", self.settings.ngram_words, self.config)
        rows: list[tuple[str, str, bool, bool]] = []
        signature.run(self._documents(rank, rows), rank, world_size)
        ids, sources, protected, test = zip(*rows, strict=True)
        sets = gather(signature.sets)
        np.savez(
            self.folder / f"rows/{rank:05d}.npz",
            ids=np.array([each.encode() for each in ids]),
            sources=np.array([each.encode() for each in sources]),
            protected=np.array(protected),
            test=np.array(test),
            values=sets.values,
            sizes=sets.sizes,
        )

    def _documents(self, rank: int, rows: list[tuple[str, str, bool, bool]]) -> Iterator[Document]:
        for dialogue in stream_rows(self.inputs[rank], Dialogue):
            protected = dialogue.source in self.settings.keep_sources
            rows.append(
                (dialogue.dialogue_id, dialogue.source, protected, dialogue.split == "test")
            )
            yield Document(text=full_text(dialogue), id=dialogue.dialogue_id)
