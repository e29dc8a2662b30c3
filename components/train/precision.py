"""Which floating-point type this machine trains and serves in."""

from typing import Literal

import torch


def training_dtype(wish: Literal["auto", "float32", "bfloat16"]) -> torch.dtype:
    """Chooses the type of weights and activations.

    A CPU without AMX or AVX512-BF16 emulates bfloat16: a matrix product of this model's shapes
    was measured at 12 GFLOP/s instead of 94 in float32 (two cores with AVX2).

    Args:
        wish: What the recipe says; `auto` leaves it to the machine.

    Returns:
        `torch.bfloat16` or `torch.float32`.
    """
    if wish != "auto":
        return torch.bfloat16 if wish == "bfloat16" else torch.float32
    if torch.cuda.is_available():
        return torch.bfloat16
    capabilities = torch.cpu.get_capabilities()
    fast = capabilities.get("amx_bf16") or capabilities.get("avx512_bf16")
    return torch.bfloat16 if fast else torch.float32
