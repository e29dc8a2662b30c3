"""ZeRO-3 by DeepSpeed: weights, gradients and optimizer sharded over processes (arXiv:1910.02054).

`deepspeed_zero3.json` names no optimizer and no schedule: the Trainer's own are used, as without
DeepSpeed, so nothing is compiled when a pod starts. Nothing is offloaded.
"""

import os
import warnings
from pathlib import Path
from typing import Any

import torch

CONFIG = Path(__file__).with_name("deepspeed_zero3.json")
RENAMED = r"`torch\.distributed\.(all_gather_into|reduce_scatter)_tensor` is deprecated"


def zero3_arguments() -> dict[str, Any]:
    """Gives the Trainer's arguments that shard a model, and joins the other processes.

    Call it in each process that torchrun started, before the model is loaded: transformers then
    loads each process's share only.

    Returns:
        Arguments of `TrainingArguments`.
    """
    # DeepSpeed 0.19 calls torch 2.13 by names that have changed: a line for each call otherwise.
    warnings.filterwarnings("ignore", RENAMED, FutureWarning)
    found: dict[str, Any] = {"deepspeed": str(CONFIG)}
    if not torch.cuda.is_available():
        _join_on_cpu()
        found["accelerator_config"] = {"use_configured_state": True}
    return found


def _join_on_cpu() -> None:
    """Does what accelerate does on GPUs only; on a CPU it silently leaves DeepSpeed out."""
    import deepspeed.ops
    from accelerate import PartialState

    # No operator counts as compatible: DeepSpeed's own all-reduce would be compiled now, by g++.
    deepspeed.ops.__compatible_ops__ = {}
    os.environ["ACCELERATE_USE_DEEPSPEED"] = "true"
    try:
        PartialState(backend="gloo")
    finally:
        del os.environ["ACCELERATE_USE_DEEPSPEED"]
