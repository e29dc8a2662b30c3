"""What the quantize step says it did, as far as the report shows it.

The step's own file holds more (components/quantize/results.py); steps do not import each other.
"""

from collections import defaultdict

from pydantic import BaseModel, ConfigDict


class _Said(BaseModel):
    """What else the step wrote is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Scheme(_Said):
    """Which number formats, and how they were found."""

    scheme: str
    """For example `w4a16`: bits of the weights and of the activations."""
    algorithm: str


class Calibration(_Said):
    """The rows that the quantization was tuned on."""

    rows: int
    tokens: int


class LeftAlone(_Said):
    """A linear layer that keeps its precision."""

    layer: str
    why: str


class Quantization(_Said):
    """How the weights were stored in fewer bits."""

    settings: Scheme
    calibration: Calibration | None = None
    """None where nothing was calibrated."""
    quantized_layers: int
    left_alone: tuple[LeftAlone, ...]
    rounded_to_nearest: tuple[str, ...] = ()
    """Layers where the algorithm failed, which were rounded instead."""
    bytes_before: dict[str, int]
    """By kind of tensor."""
    bytes_after: dict[str, int]

    @property
    def name(self) -> str:
        """The scheme and how it was found, for example `W4A16 by GPTQ`."""
        return f"{self.settings.scheme.upper()} by {self.settings.algorithm.upper()}"

    @property
    def sizes(self) -> tuple[int, int]:
        """Bytes of all weights before and after."""
        return sum(self.bytes_before.values()), sum(self.bytes_after.values())

    def reasons(self) -> dict[str, list[str]]:
        """Gives the layers left alone by the reason, in the model's order."""
        found: dict[str, list[str]] = defaultdict(list)
        for each in self.left_alone:
            found[each.why].append(each.layer)
        return dict(found)
