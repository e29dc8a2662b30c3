"""Checkpoints of a run: sealed with sha256 sums, kept in the store too, found again afterwards.

A `checkpoint-<step>` without `manifest.json`, or with other bytes than it says, does not count: it
was written half or is damaged, and the one before it is taken.
"""

import logging
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import distributed
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME

from components.core import store
from components.core.download import download_directory
from components.core.errors import BadInputError, IntegrityError, StorageError, TrainingError
from components.core.manifest import MANIFEST_NAME, Manifest, describe_directory
from components.core.settings import StoreSettings
from components.core.upload import upload_directory
from components.core.whole_files import write_text

LOG = logging.getLogger(__name__)
NAME = re.compile(r"checkpoint-(\d+)")


@dataclass(frozen=True)
class CheckpointPlace:
    """Where the checkpoints of one run are."""

    folder: Path
    """On this machine; on several nodes, a folder that all of them share."""
    uri: str | None = None
    """In the store, `s3://bucket/prefix/<run>`; None keeps them on this machine only."""
    settings: StoreSettings = field(default_factory=StoreSettings)

    def directory(self, step: int) -> Path:
        """The folder of the checkpoint after `step` updates."""
        return self.folder / f"checkpoint-{step}"

    def address(self, step: int) -> str:
        """The same in the store."""
        return f"{self.uri}/checkpoint-{step}"


def checkpoint_place(run_key: str, home: Path, environment: Mapping[str, str]) -> CheckpointPlace:
    """Gives a run its place: `<home>/checkpoints/<run>` and, if asked for, one in the store.

    Args:
        run_key: Names the run by what decides its outcome.
        home: `$FINIST_HOME`.
        environment: `FINIST_CHECKPOINTS` may hold an address, `s3://bucket/prefix`.

    Returns:
        The place; nothing is made there yet.

    Raises:
        BadInputError: `FINIST_CHECKPOINTS` is no such address.
    """
    address = environment.get("FINIST_CHECKPOINTS")
    uri = store.parse_uri(address).uri(run_key) if address else None
    return CheckpointPlace(home / "checkpoints" / run_key, uri)


def newest(place: CheckpointPlace) -> Path | None:
    """Gives the newest complete checkpoint, brought from the store where only the store has it.

    The best checkpoint that it names comes along. With several processes, call it in all of them
    after the trainer's arguments were made, which start the process group: the first one looks,
    and all get its answer.

    Args:
        place: Where to look.

    Returns:
        Its folder on this machine; None when the run has to start from the beginning.

    Raises:
        StorageError: The store cannot be asked; starting anew would lose what it holds.
    """
    outcome: list[Path | StorageError | None] = [None]
    if _is_first_process():
        try:
            outcome = [_newest_here(place)]
        except StorageError as error:
            outcome = [error]
    if distributed.is_initialized():
        distributed.broadcast_object_list(outcome)
    if isinstance(outcome[0], StorageError):
        raise outcome[0]
    return outcome[0]


def forget(place: CheckpointPlace) -> None:
    """Removes every checkpoint of a run that ended well; a store that is away is a warning.

    Args:
        place: Where they are; with several processes, call it in all of them.
    """
    _wait_for_all()  # another process may still read the best one
    if not _is_first_process():
        return
    if place.uri is not None:
        try:
            store.delete_directory(place.settings, place.uri)
        except StorageError as error:
            LOG.warning("The run is done, but its checkpoints stay in the store: %s", error)
    shutil.rmtree(place.folder, ignore_errors=True)


class CheckpointKeeper(TrainerCallback):
    """Seals each checkpoint that the Trainer writes and mirrors the folder to the store.

    The Trainer deletes old checkpoints before this seals the new one, so `save_total_limit` must
    leave room for one more beside the new and the best: 3.
    """

    def __init__(self, place: CheckpointPlace) -> None:
        self._place = place

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Finds the best checkpoint again, whose path the state may hold from another machine."""
        if not state.best_global_step:
            return
        best = self._place.directory(state.best_global_step)
        if best.is_dir():
            state.best_model_checkpoint = str(best)
            return
        state.best_metric = state.best_global_step = state.best_model_checkpoint = None
        if state.is_world_process_zero:
            LOG.warning("%s is lost; the best weights from here on are kept.", best)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Seals and uploads what all processes have written; without the store, training goes on.

        Raises:
            TrainingError: Other processes wrote into a folder that the first does not see.
        """
        _wait_for_all()
        if not state.is_world_process_zero:
            return
        _seal(self._place.directory(state.global_step), args.world_size)
        if self._place.uri is None:
            return
        try:
            _mirror(self._place, state.global_step)
        except StorageError as error:
            LOG.warning("Training goes on, the next checkpoint tries the store again: %s", error)


def _seal(directory: Path, processes: int) -> None:
    """Writes the manifest of a checkpoint that is whole; each process leaves a file of its own."""
    ranks = range(processes if processes > 1 else 0)
    if not all((directory / f"rng_state_{rank}.pth").exists() for rank in ranks):
        raise TrainingError(
            f"{directory} lacks files of some of the {processes} processes; "
            "set FINIST_HOME to a folder that all nodes share."
        )
    manifest = describe_directory(directory)
    write_text(directory / MANIFEST_NAME, manifest.model_dump_json(indent=1))


def _mirror(place: CheckpointPlace, new: int) -> None:
    """Makes the store hold what the folder holds: the new one, and what is not there yet."""
    here = _steps_here(place)
    for step in sorted(here):
        manifest = _manifest_here(place.directory(step))
        if manifest and (step == new or manifest != _manifest_stored(place, step)):
            upload_directory(place.settings, place.directory(step), place.address(step), manifest)
    for step in _steps_stored(place) - here:
        store.delete_directory(place.settings, place.address(step))


def _newest_here(place: CheckpointPlace) -> Path | None:
    stored = _steps_stored(place)
    for step in sorted(_steps_here(place) | stored, reverse=True):
        if _bring(place, step, stored):
            directory = place.directory(step)
            state = TrainerState.load_from_json(str(directory / TRAINER_STATE_NAME))
            if state.best_global_step:
                _bring(place, state.best_global_step, stored)
            return directory
    return None


def _bring(place: CheckpointPlace, step: int, stored: set[int]) -> bool:
    """Whether the checkpoint is whole on this machine, or could be had from the store."""
    directory = place.directory(step)
    if _is_whole(directory):
        return True
    if directory.exists():
        _set_aside(directory)
    if step not in stored:
        return False
    if _manifest_stored(place, step):
        try:
            download_directory(place.settings, place.address(step), directory)
            return True
        except IntegrityError:
            pass
    _warn(place.address(step), "it is passed over")
    return False


def _set_aside(directory: Path) -> None:
    """Renames what does not count, so that the Trainer does not count it either."""
    aside = directory.with_name(f"broken-{directory.name}")
    shutil.rmtree(aside, ignore_errors=True)
    directory.rename(aside)
    _warn(str(directory), f"it is set aside as {aside.name}")


def _warn(checkpoint: str, what: str) -> None:
    LOG.warning(
        "%s was written half or does not match its %s: %s.", checkpoint, MANIFEST_NAME, what
    )


def _is_whole(directory: Path) -> bool:
    manifest = _manifest_here(directory)
    try:
        return manifest is not None and describe_directory(directory) == manifest
    except BadInputError:  # nothing but the manifest
        return False


def _manifest_here(directory: Path) -> Manifest | None:
    try:
        return Manifest.model_validate_json((directory / MANIFEST_NAME).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _manifest_stored(place: CheckpointPlace, step: int) -> Manifest | None:
    try:
        return store.read_manifest(place.settings, place.address(step))
    except IntegrityError:
        return None


def _steps_here(place: CheckpointPlace) -> set[int]:
    return _steps(path.name for path in place.folder.glob("checkpoint-*") if path.is_dir())


def _steps_stored(place: CheckpointPlace) -> set[int]:
    return _steps(store.directories(place.settings, place.uri)) if place.uri else set()


def _steps(names: Iterable[str]) -> set[int]:
    return {int(found[1]) for name in names if (found := NAME.fullmatch(name))}


def _is_first_process() -> bool:
    return not distributed.is_initialized() or distributed.get_rank() == 0


def _wait_for_all() -> None:
    if distributed.is_initialized():
        distributed.barrier()
