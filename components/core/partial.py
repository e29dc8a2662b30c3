"""The folder in which a download grows: what has arrived, so that another process can go on."""

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from components.core.manifest import MANIFEST_NAME, FileEntry, Manifest
from components.core.whole_files import write_text


@dataclass(frozen=True)
class PartialDirectory:
    """`.<name>.partial` beside the directory that it will become.

    Under `files/` lie the files at their full sizes, with zeros; under `ranges/`, for each of
    them, the starts of the ranges that were written. After a power cut this may say more than the
    disk holds, which the sha256 of the file shows in the end.
    """

    folder: Path

    @property
    def files(self) -> Path:
        """What becomes the directory."""
        return self.folder / "files"

    def file(self, entry: FileEntry) -> Path:
        """Where a file grows."""
        return self.files / entry.path

    def _ranges(self, entry: FileEntry) -> Path:
        return self.folder / "ranges" / hashlib.sha256(entry.path.encode()).hexdigest()

    def arrived(self, entry: FileEntry) -> set[int]:
        """First bytes of the ranges of a file that were written."""
        path = self._ranges(entry)
        if not (path.exists() and self.file(entry).exists()):
            return set()
        lines = path.read_text("utf-8").splitlines(keepends=True)
        return {int(line) for line in lines if line.endswith("\n")}

    def make(self, entry: FileEntry) -> None:
        """Makes the file at its full size unless it is there.

        Its blocks are taken at once, so that a full disk shows before anything is fetched, and
        the ranges that are written side by side need none one by one.

        Raises:
            OSError: The disk has no room for it.
        """
        path = self.file(entry)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            if entry.size:
                _allocate(file.fileno(), entry.size, path)
            file.truncate(entry.size)

    def note(self, entry: FileEntry, start: int) -> None:
        """Keeps in mind that the range which begins at `start` was written."""
        with self._ranges(entry).open("a", encoding="utf-8") as file:
            file.write(f"{start}\n")

    def forget(self, entry: FileEntry) -> None:
        """Throws away what was written of a file."""
        self._ranges(entry).unlink(missing_ok=True)
        self.file(entry).unlink(missing_ok=True)


def _allocate(descriptor: int, size: int, path: Path) -> None:
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        error.filename = str(path)  # so that the sentence names the right disk
        raise


def partial_directory(directory: Path, manifest: Manifest) -> PartialDirectory:
    """The folder in which `directory` grows; one that grew from another manifest is thrown away.

    Args:
        directory: What it will become.
        manifest: What that will hold.
    """
    partial = PartialDirectory(directory.with_name(f".{directory.name}.partial"))
    begun = partial.folder / MANIFEST_NAME
    if _manifest(begun) != manifest:
        shutil.rmtree(partial.folder, ignore_errors=True)
        (partial.folder / "ranges").mkdir(parents=True)
        write_text(begun, manifest.model_dump_json(indent=1))
    return partial


def _manifest(path: Path) -> Manifest | None:
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
