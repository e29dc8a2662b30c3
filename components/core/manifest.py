"""What a directory in the store holds: names, sizes and sha256 sums."""

import hashlib
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, Field, field_validator

from components.core.errors import BadInputError

MANIFEST_NAME = "manifest.json"


class FileEntry(BaseModel):
    """One file of a directory: path relative to it, size in bytes, sha256 in hex."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @field_validator("path")
    @classmethod
    def _stay_inside(cls, path: str) -> str:
        parts = PurePosixPath(path)
        if parts.is_absolute() or ".." in parts.parts or path in {"", MANIFEST_NAME}:
            raise ValueError(f"{path!r} is no path inside the directory")
        return path


class Manifest(BaseModel):
    """What a directory in the store holds, sorted by path."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = 1
    files: tuple[FileEntry, ...]

    @property
    def total_bytes(self) -> int:
        """Size of all files together, in bytes."""
        return sum(entry.size for entry in self.files)

    @property
    def content_hash(self) -> str:
        """The sha256 in hex over the sorted `<sha256>  <path>` lines: same bytes, same hash."""
        lines = sorted(f"{entry.sha256}  {entry.path}\n" for entry in self.files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def files_under(directory: Path) -> list[str]:
    """Names of the files under `directory` (but its own manifest), relative to it, sorted.

    Raises:
        BadInputError: when there is no such directory or it holds no file.
    """
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    names = [path.relative_to(directory).as_posix() for path in paths]
    names = [name for name in names if name != MANIFEST_NAME]
    if not names:
        raise BadInputError(f"{directory} holds no files; give the directory to upload.")
    return names


def describe_directory(directory: Path) -> Manifest:
    """Hash every file under `directory` (but its own manifest).

    Raises:
        BadInputError: when there is no such directory or it holds no file.
    """
    entries = [describe_file(directory / name, name) for name in files_under(directory)]
    return Manifest(files=tuple(entries))


def describe_file(path: Path, name: str) -> FileEntry:
    """Hash one file, known as `name` in its directory."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return FileEntry(path=name, size=path.stat().st_size, sha256=digest)
