"""Room on the disk: looked at before the work, named as the cause of work that failed without."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from components.core.errors import DiskFullError, FinistError

MEBIBYTE = 2**20
TO_START = 512 * MEBIBYTE
"""Bytes free below which nothing is started. A run keeps five copies of a model (as it came, base,
merged, in S3, downloaded to be served): 270 MB each for the laptop's in bfloat16, many of them
there already when a run goes on."""
TO_GO_ON = 128 * MEBIBYTE
"""Bytes free below which a failure is laid to the disk: SeaweedFS then has no room for a volume and
answers "internal error", and other programs have as many other words for it."""


def check_room(home: Path, needed: int = TO_START) -> None:
    """Looks whether there is room to write.

    Args:
        home: The folder of the laptop's state; it must exist.
        needed: Bytes.

    Raises:
        DiskFullError: Fewer are free.
    """
    free = shutil.disk_usage(home).free
    if free < needed:
        raise DiskFullError(
            f"The disk of {home} has {free // MEBIBYTE} MiB free and {needed // MEBIBYTE} are "
            "needed; free some, or name a folder of another disk in FINIST_HOME."
        )


@contextlib.contextmanager
def blamed(home: Path) -> Iterator[None]:
    """Lays what fails inside to the disk, if that is full.

    Args:
        home: The folder of the laptop's state.

    Raises:
        DiskFullError: In place of an error that came while the disk was full.
    """
    try:
        yield
    except DiskFullError:
        raise
    except (OSError, FinistError) as error:
        try:
            check_room(home, TO_GO_ON)
        except DiskFullError as full:
            raise full from error
        raise
