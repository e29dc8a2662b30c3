"""Runs a datatrove pipeline on this machine's cores or on a Ray cluster, from the same settings."""

import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.executor.ray import RayPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.utils.stats import PipelineStats
from loguru import logger
from multiprocess import forkserver

from components.core.errors import BadInputError, FinistError
from components.prepare.deduplication.settings import ExecutorSettings

_PRELOADED = [
    "components.prepare.clean_and_mask",
    *(
        f"components.prepare.deduplication.{name}"
        for name in ("near_duplicates", "shards", "signatures", "split")
    ),
]


def fresh_folder(folder: Path, key: str, inputs: Sequence[Path]) -> None:
    """Empties a stage's folder unless it was made from the same settings and input files.

    Args:
        folder: The stage's work folder, made where missing.
        key: Whatever the stage's result depends on beside its inputs, as text.
        inputs: The files; each counts by path, size and time of change.
    """
    facts = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in inputs]
    fingerprint = hashlib.sha256(repr((key, facts)).encode()).hexdigest()
    mark = folder / "fingerprint"
    if mark.exists() and mark.read_text(encoding="utf-8") == fingerprint:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mark.write_text(fingerprint, encoding="utf-8")


def run_tasks(step: PipelineStep, tasks: int, folder: Path, settings: ExecutorSettings) -> None:
    """Runs a step once for each rank; ranks that a killed run finished are not run again.

    Args:
        step: Called with its rank and the number of tasks; pickled to other processes.
        tasks: Number of ranks.
        folder: Where logs and completion marks stand; on a cluster, a shared file system.
        settings: Where to run.

    Raises:
        BadInputError: A task met a bad row; its sentence.
        FinistError: A task ended in another way, on Ray; names the log.
    """
    logger.disable("datatrove")
    shutil.rmtree(folder / "failed", ignore_errors=True)
    workers = min(settings.workers or len(os.sched_getaffinity(0)), tasks)
    if settings.executor == "ray":
        _run_on_ray(step, tasks, workers, folder, settings)
    else:
        # Loaded once, by the server that forks the workers of all stages, not by each worker.
        forkserver.set_forkserver_preload(["__main__", *_PRELOADED])
        _Local(pipeline=[step], tasks=tasks, workers=workers, logging_dir=str(folder)).run()


def _run_on_ray(
    step: PipelineStep, tasks: int, workers: int, folder: Path, settings: ExecutorSettings
) -> None:
    with _ray(settings):
        executor = _Ray(
            pipeline=[step],
            tasks=tasks,
            workers=workers,
            logging_dir=str(folder),
            mem_per_cpu_gb=settings.memory_gib,
        )
        executor.run()
        _refuse_incomplete(executor, folder)


@contextmanager
def _ray(settings: ExecutorSettings) -> Iterator[None]:
    """A connection to Ray: the one there is, or one for as long as the block runs."""
    import ray

    if ray.is_initialized():
        yield
        return
    own = settings.ray_address is None
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(
        address="local" if own else settings.ray_address,
        include_dashboard=False if own else None,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        yield
    finally:
        ray.shutdown()


def _refuse_incomplete(executor: RayPipelineExecutor, folder: Path) -> None:
    """Raises what a task on Ray failed with: datatrove's Ray executor only logs it."""
    for rank in executor.get_incomplete_ranks():
        told = folder / f"failed/{rank:05d}"
        if told.exists():
            raise BadInputError(told.read_text(encoding="utf-8"))
        raise FinistError(
            f"Task {rank} of {executor.world_size} failed on Ray; its log is "
            f"{folder}/logs/task_{rank:05d}.log."
        )


def _run_quietly(
    run: Callable[[int, int, int], PipelineStats], rank: int, node_rank: int, folder: str
) -> PipelineStats:
    """Runs a rank without datatrove's chatter on stderr; leaves a bad row's sentence in a file.

    datatrove logs to stderr for local rank 0 and below ERROR for no other, hence the rank 1.
    """
    logger.disable("datatrove")
    try:
        return run(rank, 1, node_rank)
    except FinistError as error:
        told = Path(folder) / "failed" / f"{rank:05d}"
        told.parent.mkdir(parents=True, exist_ok=True)
        told.write_text(str(error), encoding="utf-8")
        raise


class _Local(LocalPipelineExecutor):
    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> PipelineStats:
        del local_rank
        return _run_quietly(super()._run_for_rank, rank, node_rank, self.logging_dir.path)


class _Ray(RayPipelineExecutor):
    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> PipelineStats:
        del local_rank
        return _run_quietly(super()._run_for_rank, rank, node_rank, self.logging_dir.path)
