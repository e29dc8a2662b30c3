"""A disk without room: said before the work, and as the cause when work fails on it."""

import errno
import io
import os
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from components.core.errors import DiskFullError, StorageError
from pipelines.local import disk
from pipelines.local.disk import blamed, check_room
from pipelines.local.step_console import StepConsole

FULL = Path("/dev/full")
"""Linux's device on which every write finds no space."""


def test_a_disk_without_room_is_named_with_both_figures(tmp_path: Path) -> None:
    needed = shutil.disk_usage(tmp_path).total + 2**20
    with pytest.raises(DiskFullError, match=rf"{tmp_path} has \d+ MiB free and \d+ are needed"):
        check_room(tmp_path, needed)
    check_room(tmp_path, 1)


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), StorageError("internal error")]
)
def test_what_fails_on_a_full_disk_is_laid_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(disk, "TO_GO_ON", shutil.disk_usage(tmp_path).total + 1)
    with pytest.raises(DiskFullError) as caught, blamed(tmp_path):
        raise error
    assert caught.value.__cause__ is error
    with pytest.raises(DiskFullError, match="said already"), blamed(tmp_path):
        raise DiskFullError("said already")


def test_with_room_an_error_stays_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "TO_GO_ON", 1)
    with pytest.raises(StorageError, match="refused"), blamed(tmp_path):
        raise StorageError("refused")


def test_steps_are_shown_although_their_log_has_no_room(tmp_path: Path) -> None:
    if not FULL.exists():
        pytest.skip("no /dev/full here")
    screen = io.StringIO()
    log = tmp_path / "build.log"
    log.symlink_to(FULL)
    with StepConsole(log, Console(file=screen)) as steps:
        steps.write("Executing task 'sft'\nOSError: [Errno 28] No space left on device\n")
        steps.write("Task 'sft' finished with status FAILURE\n")
    assert "failed" in screen.getvalue()
    assert "No space left" in steps.error
