"""What runs on the laptop, and what should run: two small files under `.finist/`.

`state.json` is written by the supervisor alone, `desired.json` by those who ask it for services.
"""

import os
import tempfile
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.core.errors import BadInputError

REPOSITORY = Path(__file__).resolve().parents[2]
ModelT = TypeVar("ModelT", bound=BaseModel)
NOT_OURS = "is not readable as state; delete it and retry."
Phase = Literal["waiting", "starting", "ready", "failed"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProcessId(_Frozen):
    """A process that a recycled number cannot be taken for: its start time belongs to it."""

    pid: int
    created: float
    """Seconds since the epoch, as psutil gives it."""


class ServiceState(_Frozen):
    """One service: where it answers, its process group's leader, and how it does."""

    url: str = ""
    pid: int | None = None
    created: float | None = None
    log: str
    phase: Phase
    message: str = ""
    model_uri: str | None = None
    model: str | None = None
    """The name under which clients ask for its model."""

    @property
    def process(self) -> ProcessId | None:
        """The leader of its process group; None before the first start."""
        if self.pid is None or self.created is None:
            return None
        return ProcessId(pid=self.pid, created=self.created)


class StackState(_Frozen):
    """The supervisor and its services by name."""

    supervisor_pid: int
    supervisor_created: float
    services: dict[str, ServiceState] = Field(default_factory=dict)

    @property
    def supervisor(self) -> ProcessId:
        """The supervisor's process."""
        return ProcessId(pid=self.supervisor_pid, created=self.supervisor_created)


class Desired(_Frozen):
    """Services that should run; model servers are asked for by InferenceService files instead."""

    services: tuple[str, ...] = ()
    ports: dict[str, int] = Field(default_factory=dict)
    """Ports that a person chose; other services get free ones."""


def home_directory() -> Path:
    """Gives the folder of the laptop's state: `FINIST_HOME`, else `.finist` in the repository."""
    chosen = os.environ.get("FINIST_HOME")
    return Path(chosen).resolve() if chosen else REPOSITORY / ".finist"


def read_state(home: Path) -> StackState | None:
    """Reads `state.json`; None when nothing was started.

    Raises:
        BadInputError: The file is not ours.
    """
    return read_file(home / "state.json", StackState, NOT_OURS)


def write_state(home: Path, state: StackState) -> None:
    """Replaces `state.json` in one step."""
    replace_text(home / "state.json", state.model_dump_json(indent=1))


def read_desired(home: Path) -> Desired:
    """Reads `desired.json`; nothing is desired without it.

    Raises:
        BadInputError: The file is not ours.
    """
    return read_file(home / "desired.json", Desired, NOT_OURS) or Desired()


def write_desired(home: Path, desired: Desired) -> None:
    """Replaces `desired.json` in one step."""
    replace_text(home / "desired.json", desired.model_dump_json(indent=1))


def read_file(path: Path, model: type[ModelT], trouble: str) -> ModelT | None:
    """Reads one of the laptop's own JSON files.

    Args:
        path: The file.
        model: What it holds.
        trouble: Ends the sentence that begins with the path, when the file does not hold that:
            what is wrong and how to mend it.

    Returns:
        The content; None when there is no file.

    Raises:
        BadInputError: The file does not hold it.
    """
    try:
        return model.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise BadInputError(f"{path} {trouble}") from error


def replace_text(path: Path, text: str, mode: int = 0o644) -> None:
    """Writes a file whole or not at all.

    Args:
        path: The file; its folder must exist.
        text: The content, stored as UTF-8.
        mode: Permission bits.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)  # it is there only if something went wrong
