"""What passes between the process that waits and the one in the quantize environment."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from components.quantize.settings import QuantizeSettings

JOB = "job.json"
RESULT = "quantization.json"
FAILURE = "failure.json"


class Message(BaseModel):
    """A frozen message; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Job(Message):
    """A checkpoint to quantize."""

    model: Path
    out: Path
    settings: QuantizeSettings | None = None
    """None: `model` is quantized, write it with its weights as plain numbers again."""
    rows: Path | None = None
    """JSON lines of the dialogues to calibrate on; None where none are needed."""


class Failure(Message):
    """An error that a person can mend, handed to the process that waits."""

    kind: str
    message: str
