"""What the quantize step says it did, as far as the report shows it."""

from pydantic import BaseModel, ConfigDict


class _Said(BaseModel):
    """What else the step wrote is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class LeftAlone(_Said):
    """Layers that keep their precision."""

    layer: str
    """A name, or a pattern of names."""
    why: str
    count: int = 1


class Quantization(_Said):
    """How the weights were stored in fewer bits."""

    scheme: str
    """For example `W4A16`: bits of the weights and of the activations."""
    algorithm: str
    calibration: str = ""
    """On what, in words; empty where the algorithm needs none."""
    quantized: int
    """Linear layers with fewer bits."""
    left_alone: tuple[LeftAlone, ...]
    bytes_before: int
    """Of the weights' files."""
    bytes_after: int
