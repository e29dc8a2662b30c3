"""Settings of quantization: a recipe's `quantize:` section, or a file of recipes/."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationInfo, field_validator

RECIPES = Path(__file__).with_name("recipes")
COMPUTE_CAPABILITY = {"A100": 8.0, "L40S": 8.9, "H100": 9.0, "H200": 9.0}
"""By GPU: NVIDIA, "CUDA GPU Compute Capability" (developer site, 2025)."""
FIRST_WITH_FP8 = 8.9
"""Tensor cores multiply FP8 from here on: "CUDA C++ Programming Guide", table of data types."""

Share = Annotated[float, Field(ge=0, le=1)]


class QuantizeSettings(BaseModel):
    """How weights are stored in fewer bits, and what that is tuned on."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    gpu: str = "A100"
    """The GPU that will serve it; decides which number formats make sense."""
    scheme: Literal["w4a16", "w8a8"]
    """`w4a16`: 4-bit integer weights in groups, 16-bit arithmetic: a quarter of the memory, fastest
    for few requests at once. `w8a8`: 8-bit integer weights (a scale for each output channel) and
    activations (a scale for each token, found as they come): half the memory, INT8 arithmetic,
    fastest for many requests at once."""
    algorithm: Literal["gptq", "awq", "rtn"] = "gptq"
    """`gptq` (Frantar et al., 2022) makes up for each column's rounding in the next ones, `awq`
    (Lin et al., 2023; w4a16 only) scales up channels that matter, `rtn` rounds to the nearest."""
    group_size: PositiveInt = 128
    """w4a16: input channels that share a scale. It must divide each layer's input width; vLLM's
    kernels have 32, 64 and 128."""
    smoothing: Share | None = 0.8
    """w8a8: SmoothQuant's strength (Xiao et al., 2022): how much of the activations' outliers moves
    into the weights. None leaves it out."""
    dampening: Share = 0.01
    """gptq: what is added to the diagonal of the Hessian, as a share of its mean."""
    rows: PositiveInt = 512
    """Training dialogues to calibrate on; with fewer at hand, all of them."""
    max_length: PositiveInt = 2048
    """Tokens of a calibration batch, which several dialogues share; longer ones are left out."""
    ignore: tuple[str, ...] = ("lm_head",)
    """Layers left alone: names, or regular expressions after `re:`."""
    offload: Literal["cpu", "disk"] = "cpu"
    """Where the weights wait while one decoder layer at a time is on the GPU: host memory, or what
    does not fit there on the disk."""
    seed: int = 0
    """Decides which dialogues are taken."""

    @field_validator("scheme", mode="before")
    @classmethod
    def _no_fp8(cls, scheme: Any, info: ValidationInfo) -> Any:
        if isinstance(scheme, str) and scheme.lower().startswith("fp8"):
            raise ValueError(_fp8_refusal(str(info.data.get("gpu"))))
        return scheme

    @field_validator("algorithm")
    @classmethod
    def _algorithm_fits(cls, algorithm: str, info: ValidationInfo) -> str:
        if algorithm == "awq" and info.data.get("scheme") == "w8a8":
            raise ValueError("awq is for 4-bit weights: take gptq with w8a8, or awq with w4a16")
        return algorithm


def _fp8_refusal(gpu: str) -> str:
    capability = COMPUTE_CAPABILITY.get(gpu.partition("-")[0].upper())
    instead = "take w8a8 (INT8 arithmetic) for many requests at once or w4a16 for few"
    if capability is not None and capability < FIRST_WITH_FP8:
        return (
            f"an {gpu} has no FP8 units (its compute capability is {capability}, FP8 comes with "
            f"{FIRST_WITH_FP8} and 9.0); {instead}"
        )
    return f"fp8 is not made here, since Finist's GPUs, A100, have no units for it; {instead}"
