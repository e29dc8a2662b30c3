"""What makes layers faster on a GPU and changes nothing of what they compute.

Where dialogues share a row, transformers gives PyTorch's attention a mask of the row's length
squared, for which there is no flash kernel. The kernel for sequences of different lengths is told
where each dialogue begins instead. Figures stand in `tests/bench/README.md`.
"""

import os
import shutil
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, PreTrainedModel

from components.core.errors import TrainingError
from components.train.precision import training_dtype
from components.train.settings import SftSettings

PACKED = "finist_packed"
"""The name by which transformers knows `attend`; it makes no mask for a name it does not know."""
CAUSAL = (-1, 0)
"""The window of a token: all before it, none after."""


def speed_up(model: PeftModel, settings: SftSettings) -> PeftModel:
    """Sets a model up for the GPU that there is; without one it stays as it is.

    Args:
        model: The adapted model; changed in place.
        settings: Whether rows are packed, and layers compiled.

    Returns:
        The model.

    Raises:
        TrainingError: Layers are to be compiled, and there is no C compiler.
    """
    if not torch.cuda.is_available() or training_dtype(settings.hardware.dtype) != torch.bfloat16:
        return model
    base = model.get_base_model()
    if settings.packing and settings.hardware.attention == "sdpa":
        attend_within_dialogues(base)
    if settings.method == "lora" and settings.lora.last_layers is None:
        _leave_inputs(model)
    if settings.compile_layers:
        _compile(base)
    return model


def keep_memory_whole() -> None:
    """Lets PyTorch's allocator enlarge its blocks; to be called before anything is on the GPU.

    Rows of many lengths otherwise leave gaps between blocks that no row fits: `tests/bench` has the
    figures.
    """
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")


def attend_within_dialogues(model: PreTrainedModel) -> None:
    """Makes a model attend with `attend`, which needs `cu_seq_lens_q` in each batch."""
    AttentionInterface.register(PACKED, attend)
    model.set_attn_implementation(PACKED)


def attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    *,
    cu_seq_lens_q: Tensor,
    scaling: float | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attends to what came before in the same dialogue of a packed row.

    Args:
        module: The attention layer.
        query: `(1, heads, length, size)`.
        key: The same with the heads of keys and values.
        value: As `key`; its type is that of the result.
        attention_mask: Not needed.
        cu_seq_lens_q: Where dialogues begin, and the end of the last one, `(dialogues + 1,)` int32.
        scaling: Factor of the scores; None for one over the root of `size`.
        others: What transformers passes along.

    Returns:
        `(1, length, heads, size)`, and no weights.
    """
    queries, keys, values = (
        states[0].transpose(0, 1).to(value.dtype) for states in (query, key, value)
    )
    longest = queries.shape[0]  # at most: for the true one the processor would wait for the GPU
    given = (cu_seq_lens_q, cu_seq_lens_q, longest, longest)
    attended: Any = varlen_attn(
        queries, keys, values, *given, scale=scaling, window_size=CAUSAL, enable_gqa=True
    )
    return attended[None], None


def _leave_inputs(model: PeftModel) -> None:
    """Stops PEFT from copying each input to float32: autocast makes it bfloat16 again."""
    for module in model.modules():
        if hasattr(module, "cast_input_dtype_enabled"):
            module.cast_input_dtype_enabled = False


def _compile(model: PreTrainedModel) -> None:
    """Compiles layers one by one: they are alike, so the first one's code serves all."""
    compiler = os.environ.get("CC", "cc")
    if not shutil.which(compiler) and not shutil.which("gcc"):
        raise TrainingError(
            f"compile_layers: true needs a C compiler for Triton, and there is no {compiler} here; "
            "install gcc, or leave compile_layers out of the recipe."
        )
    for layer in model.model.layers:
        layer.compile()
