"""What a GPU has: memory, arithmetic, bandwidth; from NVIDIA's data sheets.

Sources, all of the SXM form with dense (not sparse) arithmetic: "NVIDIA A100 Tensor Core GPU"
data sheet (2021) for both A100; "NVIDIA H100 Tensor Core GPU" data sheet (2023); "NVIDIA H200
Tensor Core GPU" data sheet (2024). The H100 and H200 sheets print figures with sparsity, which
are twice the dense ones given here. Memory is what nvidia-smi reports: 81,920 MiB, 40,960 MiB,
81,559 MiB and 143,771 MiB. NVLink figures of the sheets count both directions; one is half.
"""

import re
from dataclasses import dataclass

from components.core.errors import BadInputError

GIB = 2**30
GPUS_PER_NODE = 8
"""NVLink joins this many at most (HGX boards); tensor parallelism stays within."""
MOST_GPUS = 1024


@dataclass(frozen=True)
class Gpu:
    """One GPU; rates are per second."""

    name: str
    memory: float
    """Bytes."""
    bf16: float
    """Dense floating-point operations a second, accumulated in float32."""
    int8: float
    """Dense integer operations a second."""
    fp8: float | None
    """Dense operations a second; None where there are no FP8 units."""
    bandwidth: float
    """Bytes a second between the GPU and its own memory."""
    nvlink: float
    """Bytes a second to the other GPUs, in one direction."""


GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("A100-40GB", 40.0 * GIB, 312e12, 624e12, None, 1.555e12, 300e9),
        Gpu("A100-80GB", 80.0 * GIB, 312e12, 624e12, None, 2.039e12, 300e9),
        Gpu("H100-80GB", 81_559 / 1024 * GIB, 989e12, 1979e12, 1979e12, 3.35e12, 450e9),
        Gpu("H200-141GB", 143_771 / 1024 * GIB, 989e12, 1979e12, 1979e12, 4.8e12, 450e9),
    )
}


@dataclass(frozen=True)
class GpuPool:
    """Some GPUs of one kind."""

    gpu: Gpu
    count: int

    def __str__(self) -> str:
        return f"{self.count}x{self.gpu.name}"


def parse_gpus(text: str) -> GpuPool:
    """Reads what a person writes for a pool of GPUs.

    Args:
        text: A count, `x` and a name, as `4xA100-80GB`; a name alone means one.

    Returns:
        The pool.

    Raises:
        BadInputError: The text has another form, or the planner does not know the GPU.
    """
    known = ", ".join(GPUS)
    found = re.fullmatch(r"(?:(\d{1,6})\s*[xX×]\s*)?(\S+)", text.strip())
    gpu = found and {name.lower(): gpu for name, gpu in GPUS.items()}.get(found[2].lower())
    if not found or not gpu:
        raise BadInputError(f"--gpus {text!r}: write it as 4xA100-80GB; known are {known}.")
    count = int(found[1] or 1)
    if not 1 <= count <= MOST_GPUS:
        raise BadInputError(f"--gpus {text!r}: the count must be from 1 to {MOST_GPUS}.")
    return GpuPool(gpu, count)
