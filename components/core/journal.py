"""A journal of replies: each is on disk, by the key of its request, before anything else happens.

Only ever added to, one JSON line a reply, each flushed to the disk (`fsync`) before the next step,
so that neither `kill -9` nor a power cut loses a reply that the provider has charged for. At most
the last line can be torn, and it is dropped on opening. Replies stay on disk; memory holds their
places only.
"""

import fcntl
import hashlib
import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from components.core.errors import BadInputError
from components.core.llm import Asking, Completion, Messages


class Entry(BaseModel):
    """One reply, as a line of a journal; a journal with more to say of a reply has a child."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    """sha256 of all that decides the reply (`request_key`)."""
    completion: Completion


EntryType = TypeVar("EntryType", bound=Entry)


class TornJournalWarning(UserWarning):
    """The journal's last line was half written when an earlier run was killed."""


class Journal(Generic[EntryType]):
    """Replies by the key of their request; a context manager.

    Opening it raises BadInputError when another process has it open, or a line is damaged.
    """

    def __init__(self, path: Path, entry: type[EntryType]) -> None:
        """Opens the journal and makes it where there is none.

        Args:
            path: JSON lines of `entry`.
            entry: What a line holds.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._entry = entry
        self._places: dict[str, tuple[int, int]] = {}
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self._end = 0

    def __enter__(self) -> Self:
        """Locks the journal and reads where its replies lie."""
        try:
            self._lock()
            for entry, length in self._read():
                self._places[entry.key] = (self._end, length)
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
                f"Another run is writing {self.path}; wait for it or choose another folder."
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
        """Whether the reply to a request is here."""
        return key in self._places

    def get(self, key: str) -> Completion | None:
        """Gives the reply to a request, or None when it is not here."""
        place = self._places.get(key)
        return self._at(*place).completion if place else None

    def entries(self) -> Iterator[EntryType]:
        """Gives all replies in the order in which they came."""
        for place in self._places.values():
            yield self._at(*place)

    def _at(self, start: int, length: int) -> EntryType:
        return self._entry.model_validate_json(os.pread(self._file, length, start))

    def add(self, entry: EntryType) -> None:
        """Keeps a reply; when this returns, it is on the disk.

        Args:
            entry: The reply.

        Raises:
            OSError: There is no room; the journal stays as it was.
        """
        line = (entry.model_dump_json() + "\n").encode()
        try:
            _write(self._file, line, self._end)
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, self._end)
            raise
        self._places[entry.key] = (self._end, len(line))
        self._end += len(line)

    def _read(self) -> Iterator[tuple[EntryType, int]]:
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    self._drop(number)
                    return
                try:
                    yield self._entry.model_validate_json(line), len(line)
                except ValidationError as error:
                    raise BadInputError(
                        f"{self.path}:{number} is no entry of the journal; remove this line "
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


def request_key(
    model: str, messages: Messages, asking: Asking, sample: str = "", role: str = ""
) -> str:
    """Names a request by all that decides its reply.

    The address is left out on purpose: the same model behind another URL gives the same replies.

    Args:
        model: The model's name, or better, what tells its weights apart from others of that name.
        messages: The conversation as sent, hence the prompt with its version.
        asking: Tokens, temperature, log-probabilities, the schema of the reply, extra fields.
        sample: Tells apart requests that are equal otherwise: the number of a sample, a seed.
        role: Tells apart two uses of one model that share a journal.

    Returns:
        64 hexadecimal digits.
    """
    how: list[object] = [asking.max_tokens, asking.temperature, asking.top_logprobs]
    if asking.reply_schema:  # left out otherwise, so that older journals keep their keys
        how.append(asking.reply_schema)
    if asking.extra:
        how.append(asking.extra)
    turns = [(turn.role, turn.content) for turn in messages]
    content = json.dumps([role, model, turns, how, sample], ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()
