"""The journal: every reply that was paid for, on disk before anything is done with it.

Only ever added to, one JSON line a reply, each flushed to the disk (`fsync`) before the next step,
so that neither `kill -9` nor a power cut loses a reply that the provider has charged for. At most
the last line can be torn, and it is dropped on opening. Replies stay on disk; memory holds their
places only.
"""

import fcntl
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError

from components.core.errors import BadInputError
from components.core.llm import Completion

Role: TypeAlias = Literal["teacher", "judge"]


class Record(BaseModel):
    """One reply that was paid for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    """sha256 of all that decides the request."""
    role: Role
    completion: Completion
    estimated: bool = False
    """Whether the tokens are our estimate, for an endpoint that does not count them."""


class TornJournalWarning(UserWarning):
    """The journal's last line was half written when an earlier run was killed."""


class Journal:
    """Replies by the key of their request; a context manager.

    Opening it raises BadInputError when another process has it open, or a line is damaged.
    """

    def __init__(self, path: Path) -> None:
        """Opens the journal and makes it where there is none."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._places: dict[str, tuple[int, int]] = {}
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self._end = 0

    def __enter__(self) -> Self:
        """Locks the journal and reads where its replies lie."""
        try:
            self._lock()
            for record, length in self._read():
                self._places[record.key] = (self._end, length)
                self._end += length
        except BadInputError:
            os.close(self._file)
            raise
        return self

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadInputError(
                f"Another run is writing {self.path}; wait for it or choose another work folder."
            ) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the file, which unlocks it."""
        os.close(self._file)

    def __len__(self) -> int:
        """How many replies there are."""
        return len(self._places)

    def __contains__(self, key: str) -> bool:
        """Whether a request was paid for."""
        return key in self._places

    def get(self, key: str) -> Completion | None:
        """Gives the reply to a request, or None when it was never paid for."""
        if key not in self._places:
            return None
        start, length = self._places[key]
        return Record.model_validate_json(os.pread(self._file, length, start)).completion

    def records(self) -> Iterator[Record]:
        """Gives all replies in the order in which they came."""
        for start, length in self._places.values():
            yield Record.model_validate_json(os.pread(self._file, length, start))

    def add(self, record: Record) -> None:
        """Keeps a reply; when this returns, it is on the disk.

        Args:
            record: The reply.

        Raises:
            OSError: There is no room; the journal stays as it was.
        """
        line = (record.model_dump_json() + "\n").encode()
        try:
            _write(self._file, line, self._end)
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, self._end)
            raise
        self._places[record.key] = (self._end, len(line))
        self._end += len(line)

    def _read(self) -> Iterator[tuple[Record, int]]:
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    self._drop(number)
                    return
                try:
                    yield Record.model_validate_json(line), len(line)
                except ValidationError as error:
                    raise BadInputError(
                        f"{self.path}:{number} is no record of the journal; remove this line "
                        "(its reply will be asked for again) and run again."
                    ) from error

    def _drop(self, number: int) -> None:
        """Cuts off the torn last line."""
        warnings.warn(
            f"{self.path}:{number}: the last line is torn (an earlier run was killed while "
            "writing it); it is dropped and its reply will be asked for again.",
            TornJournalWarning,
            stacklevel=4,
        )
        os.ftruncate(self._file, self._end)


def _write(file: int, content: bytes, place: int) -> None:
    """Writes all of it; the kernel may take it in parts."""
    written = 0
    while written < len(content):
        written += os.pwrite(file, content[written:], place + written)
