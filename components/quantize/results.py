"""What is known of a quantized checkpoint: the artifact beside it."""

from collections import Counter
from typing import Literal

from components.quantize.job import Message
from components.quantize.settings import QuantizeSettings


class Calibration(Message):
    """The rows that the quantization was tuned on."""

    rows: int
    tokens: int
    too_long: int
    """Rows left out because they exceed `max_length`."""
    digest: str
    """sha256 of the token ids."""


class LeftAlone(Message):
    """A linear layer whose weights stay as they were."""

    layer: str
    why: str


class LayerError(Message):
    """What quantizing did to a layer."""

    layer: str
    error: float
    """Relative squared error, of what `Quantization.error_of` says."""


class Quantization(Message):
    """How a checkpoint was quantized, and what became of it."""

    settings: QuantizeSettings
    calibration: Calibration | None
    """None where nothing is calibrated."""
    quantized_layers: int
    left_alone: tuple[LeftAlone, ...]
    error_of: Literal["outputs", "weights"]
    """`outputs`: of the layer's outputs on the calibration rows, what GPTQ minimizes, activations
    not rounded. `weights`: of the weights themselves."""
    errors: tuple[LayerError, ...]
    """In the model's order."""
    rounded_to_nearest: tuple[str, ...] = ()
    """Layers where GPTQ's matrix could not be inverted, which were rounded to nearest instead."""
    bytes_before: dict[str, int]
    """By kind of tensor: linear layers, embeddings and output layer, norms, scales."""
    bytes_after: dict[str, int]
    seconds: dict[str, float]
    """By phase."""
    versions: dict[str, str]

    @property
    def compression(self) -> float:
        """Bytes before over bytes after."""
        return sum(self.bytes_before.values()) / sum(self.bytes_after.values())

    def figures(self) -> dict[str, float]:
        """Gives what a pipeline step shows: sizes in MB, counts, seconds, the largest error."""
        return {
            "megabytes_before": sum(self.bytes_before.values()) / 1e6,
            "megabytes_after": sum(self.bytes_after.values()) / 1e6,
            "compression": self.compression,
            "quantized_layers": float(self.quantized_layers),
            "layers_left_alone": float(len(self.left_alone)),
            "calibration_tokens": float(self.calibration.tokens if self.calibration else 0),
            "largest_layer_error": max(each.error for each in self.errors),
            "seconds": sum(self.seconds.values()),
        }

    def reasons(self) -> Counter[str]:
        """Counts the layers left alone by the reason."""
        return Counter(each.why for each in self.left_alone)
